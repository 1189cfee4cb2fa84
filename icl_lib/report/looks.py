"""What the retrieval model looks at: the attention that TSE selects patches and words by."""

import numpy as np
import pandas as pd
import torch

from icl_lib.data.views import normalise, read_image
from icl_lib.report.style import panels, styled
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens, trim


def picture_attention(model, paths) -> np.ndarray:
    """The class token's last-layer attention over patches [N, rows, columns], as TSE reads it; `model` a
    backbone.
    """
    pixels = torch.from_numpy(np.stack([read_image(path, model.image_size) for path in paths]))
    with torch.inference_mode():
        _, attention = encode_image_tokens(model.clip, normalise(pixels.to(model.device)))
    rows, columns = (size // patch for size, patch in zip(model.image_size, model.clip.visual.patch_size))
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


@styled
def attention_sheet(paths, attention: np.ndarray, ratio: float):
    """Each picture, and below it the patches that TSE keeps of it, the others faded; attention [N, rows,
    columns].
    """
    chosen = kept(attention, ratio)
    figure, axes = panels(2, len(paths), height=2.6)
    for ax, below, path, weights, mask in zip(*axes, paths, attention, chosen):
        rows, columns = mask.shape
        size = (rows * 24, columns * 24)
        picture = read_image(path, size).transpose(1, 2, 0) / 255
        shown = np.kron(mask, np.ones((24, 24)))[..., None]
        ax.imshow(picture)
        below.imshow(picture * shown + (0.8 + 0.2 * picture) * (1 - shown))
        below.set_title(f"{100 * weights[mask].sum() / weights.sum():.0f}% of attention", fontsize=8)
        ax.axis("off")
        below.axis("off")
    return figure
