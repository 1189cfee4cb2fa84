"""What the backbone attends to in a picture and in a caption."""

import numpy as np
import pandas as pd
import torch

from icl_lib.data.pictures import normalise, read_image
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim


def picture_attention(model, paths) -> np.ndarray:
    """The class token's last-layer attention over patches [N, rows, columns], as TSE reads it; `model` a
    backbone.
    """
    pixels = torch.from_numpy(np.stack([read_image(path, model.image_size) for path in paths]))
    with torch.inference_mode():
        _, attention = encode_image_tokens(model.clip, normalise(pixels.to(model.device)))
    rows, columns = (
        size // patch for size, patch in zip(model.image_size, model.clip.visual.patch_size)
    )
    return attention[:, 1:].float().cpu().numpy().reshape(-1, rows, columns)


def kept(attention: np.ndarray, ratio: float) -> np.ndarray:
    """Which patches TSE keeps, bool like attention [N, rows, columns]: the int(ratio·patches) most
    attended.
    """
    flat = attention.reshape(len(attention), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, : max(1, int(ratio * flat.shape[1]))]
    chosen = np.zeros(flat.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen.reshape(attention.shape)


def word_attention(model, text: str) -> pd.DataFrame:
    """The EOT token's last-layer attention on each token of a text between start and EOT: columns token,
    attention.
    """
    ids = trim(model.tokenise([text])).to(model.device)
    with torch.inference_mode():
        _, attention = encode_text_tokens(model.clip, ids)
    numbers = ids[0, 1:-1].tolist()
    tokens = [model.tokenizer.decoder[number].replace("</w>", "") for number in numbers]
    return pd.DataFrame({"token": tokens, "attention": attention[0, 1:-1].float().cpu().numpy()})
