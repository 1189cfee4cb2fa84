"""What the retrieval model looks at: the attention that TSE selects patches and words by."""

import numpy as np

from icl_lib.analysis.attention import kept
from icl_lib.data.pictures import read_image
from icl_lib.figures.style import panels, styled


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
        below.set_title(
            f"{100 * weights[mask].sum() / weights.sum():.0f}% of attention", fontsize=8
        )
        ax.axis("off")
        below.axis("off")
    return figure
