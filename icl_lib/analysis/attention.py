"""What the backbone attends to in an image and in a caption."""

import numpy as np
import pandas as pd
import torch

from icl_lib.data.pictures import normalise, read_image
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim


def picture_attention(model, paths) -> np.ndarray:
    """Attention of the class token to the patches in the last layer, as TSE reads it.

    Args:
        model: A backbone.
        paths: The N images.

    Returns:
        Attention [N, rows, columns].
    """
    pixels = torch.from_numpy(np.stack([read_image(path, model.image_size) for path in paths]))
    with torch.inference_mode():
        _, attention = encode_image_tokens(model.clip, normalise(pixels.to(model.device)))
    rows, columns = np.array(model.image_size) // model.clip.visual.patch_size
    return attention[:, 1:].float().cpu().numpy().reshape(-1, rows, columns)


def kept(attention: np.ndarray, ratio: float) -> np.ndarray:
    """The int(ratio · patches) most attended patches, which TSE keeps: bool [N, rows, columns]."""
    flat = attention.reshape(len(attention), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, : max(1, int(ratio * flat.shape[1]))]
    chosen = np.zeros(flat.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen.reshape(attention.shape)


def word_attention(model, text: str) -> pd.DataFrame:
    """The EOT token's attention to each token in the last layer: columns token, attention."""
    ids = trim(model.tokenise([text])).to(model.device)
    with torch.inference_mode():
        _, attention = encode_text_tokens(model.clip, ids)
    decoder = model.tokenizer.decoder
    tokens = [decoder[number].replace("</w>", "") for number in ids[0, 1:-1].tolist()]
    return pd.DataFrame({"token": tokens, "attention": attention[0, 1:-1].float().cpu().numpy()})
