"""What the retrieval model looks at: the attention by which TSE selects patches."""

import numpy as np

from icl_lib.analysis.attention import kept
from icl_lib.data.pictures import read_image
from icl_lib.figures.style import panels, styled

PATCH = 24  # pixels of a patch as drawn


@styled
def attention_sheet(paths, attention: np.ndarray, ratio: float):
    """Pictures, and below each the patches that TSE keeps; the others are faded.

    Args:
        paths: The N pictures.
        attention: Attention to their patches [N, rows, columns].
        ratio: Share of the patches that TSE keeps.
    """
    figure, axes = panels(2, len(paths), height=2.6)
    for ax in axes.flat:
        ax.axis("off")
    masks = kept(attention, ratio)
    for (above, below), path, weights, mask in zip(axes.T, paths, attention, masks, strict=True):
        patch = np.ones((PATCH, PATCH))
        shown = np.kron(mask, patch)[..., None]
        picture = read_image(path, shown.shape[:2]).transpose(1, 2, 0) / 255
        above.imshow(picture)
        below.imshow(np.where(shown, picture, 0.8 + 0.2 * picture))
        share = 100 * weights[mask].sum() / weights.sum()
        below.set_title(f"{share:.0f}% of attention", fontsize=8)
    return figure
