"""Learning rates of a backbone's parts, and the weight of the augmented texts, epoch by epoch."""

import math

from icl_lib.retrieval.backbone import Backbone


def lr_factor(
    epoch: float, epochs: int, warmup: int, warmup_factor: float, final: float = 0.0
) -> float:
    """The share of the learning rate at `epoch`, in [0, 1].

    Linear from `warmup_factor` to 1 over `warmup` epochs, then a cosine down to `final`. At whole
    epochs it equals the released code's schedule; it also changes within an epoch, which matters
    when epochs are few.

    Args:
        epoch: from 0; fractions are within an epoch.
        epochs: length of the training.
        warmup: epochs of the linear warm-up.
        warmup_factor: share at the first step.
        final: share at the end.
    """
    if epoch < warmup:
        return warmup_factor + (1 - warmup_factor) * epoch / warmup
    done = (epoch - warmup) / max(1, epochs - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(model: Backbone, settings) -> list[dict]:
    """Adam's parameter groups, each with its unscheduled rate as `base_lr`.

    CLIP's weights learn at lr; its biases at lr · bias_lr_factor, without weight decay; the layers
    that a method adds at `Backbone.own_rate`; text positions that were resized at lr ·
    text_position_lr_factor. `settings` is params.backbone.
    """
    groups: dict[tuple, list] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        bias = name.endswith("bias")
        lr = settings.lr * (settings.bias_lr_factor if bias else 1)
        if (own := model.own_rate(name, settings)) is not None:
            lr = own
        elif name == "clip.positional_embedding" and model.source.text_positions_resized:
            lr = settings.lr * settings.text_position_lr_factor
        groups.setdefault((lr, 0.0 if bias else settings.weight_decay), []).append(parameter)
    return [
        {"params": members, "lr": lr, "base_lr": lr, "weight_decay": decay}
        for (lr, decay), members in groups.items()
    ]


def rda_weight(epoch: int, slope: float = 0.03, floor: float = 0.1) -> float:
    """w(epoch) = max(floor, 1 − slope·epoch), the weight of RDA's texts; epochs from 0."""
    return max(floor, 1 - slope * epoch)
