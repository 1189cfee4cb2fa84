"""First stage of both small models: a Qwen2-VL vision tower learns to recognise attributes.

Each attribute has its own query that attends to the merged visual tokens, so the tokens keep the
information that the attribute needs.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from icl_lib.mllm.qwen2vl_tower import patchify, picture_tokens
from icl_lib.pretrain.loop import DEVICE, batches, train
from icl_lib.pretrain.world import HEADS, GenericSet, augment, plain

SIZE = (48, 144)  # width and height of a picture in pixels
PATCH = 12  # side of a patch in pixels
MERGE = 2  # patches merged per side
GRID = (SIZE[1] // PATCH, SIZE[0] // PATCH)  # rows, columns of patches


def vision_config(
    width: int = 160, depth: int = 6, heads: int = 5, hidden: int = 192
) -> Qwen2VLVisionConfig:
    """Sizes of the small tower, which gives 12 visual tokens per picture."""
    return Qwen2VLVisionConfig(
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        hidden_size=hidden,
        mlp_ratio=4,
        patch_size=PATCH,
        hidden_act="gelu",
        spatial_merge_size=MERGE,
    )


class AttributeTower(nn.Module):
    """The vision tower with one attention-pooled linear classifier per attribute."""

    def __init__(self, config: Qwen2VLVisionConfig):
        super().__init__()
        config._attn_implementation = "eager"
        self.visual = Qwen2VisionTransformerPretrainedModel(config)
        d = config.hidden_size
        self.norm = nn.LayerNorm(d)
        self.query = nn.Parameter(torch.randn(len(HEADS), d) * d**-0.5)
        self.heads = nn.ModuleList([nn.Linear(d, len(values)) for values in HEADS.values()])

    def tokens(self, pictures: torch.Tensor) -> torch.Tensor:
        """Turn pictures [B, 3, H, W] into visual tokens [B, 12, hidden]."""
        return picture_tokens(self.visual, patchify(pictures, PATCH, MERGE), GRID)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Turn pictures [B, 3, H, W] into logits [B, values], one tensor per attribute."""
        return self.read(self.tokens(pictures))

    def read(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Turn visual tokens [B, 12, hidden] into logits [B, values], one tensor per attribute."""
        x = self.norm(tokens)
        look = (self.query @ x.transpose(1, 2)).softmax(-1)  # [B, attributes, tokens]
        pooled = look @ x  # [B, attributes, hidden]
        return [head(pooled[:, i]) for i, head in enumerate(self.heads)]


def attribute_loss(logits: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the attributes; labels int64 [B, attributes], -100 if not visible."""
    losses = [
        F.cross_entropy(scores.float(), labels[:, i], reduction="sum")
        / (labels[:, i] >= 0).sum().clamp(min=1)
        for i, scores in enumerate(logits)
    ]
    return torch.stack(losses).mean()


def train_tower(
    data: GenericSet,
    folder: Path,
    steps: int,
    held_out: GenericSet,
    batch: int = 64,
    lr: float = 1.2e-3,
    seed: int = 0,
) -> AttributeTower:
    """Train the tower on `data`, or resume from the state in `folder`, which also gets the log.

    The log has the mean accuracy on `held_out`, in percent, every tenth of the steps.
    """
    torch.manual_seed(seed)
    model = AttributeTower(vision_config()).to(DEVICE)
    labels, pick = torch.from_numpy(data.labels()), batches(len(data.truth), batch, seed)

    def loss_of(step):
        index = pick(step)
        pictures = augment(
            torch.from_numpy(data.pictures[index.numpy()]), torch.Generator().manual_seed(step)
        )
        logits, y = model(pictures.to(DEVICE)), labels[index].to(DEVICE)
        with torch.no_grad():
            right = torch.stack(
                [
                    (scores.argmax(-1) == y[:, i])[y[:, i] >= 0].float().mean()
                    for i, scores in enumerate(logits)
                ]
            )
        return attribute_loss(logits, y), {"accuracy": right.nanmean().item()}

    def check(_):
        return {"held_out_accuracy": mean_accuracy(model, held_out)}

    train(model, loss_of, steps, lr, Path(folder), "tower", check)
    return model.cpu().eval()


@torch.inference_mode()
def attribute_accuracy(model: AttributeTower, data: GenericSet) -> dict[str, float]:
    """Percentage of visible values that are recognised correctly, per attribute."""
    labels, hits = torch.from_numpy(data.labels()), {}
    device = model.query.device
    logits = [
        [scores.cpu() for scores in model(plain(data.pictures[i : i + 256]).to(device))]
        for i in range(0, len(data.truth), 256)
    ]
    for j, name in enumerate(HEADS):
        guess, y = torch.cat([scores[j] for scores in logits]).argmax(-1), labels[:, j]
        hits[name] = 100 * (guess == y)[y >= 0].float().mean().item()
    return hits


def mean_accuracy(model: AttributeTower, data: GenericSet) -> float:
    """Mean of `attribute_accuracy` over the attributes, in percent with two decimals."""
    accuracy = attribute_accuracy(model, data)
    return round(sum(accuracy.values()) / len(accuracy), 2)
