"""Sets of drawn pictures that the small models learn from, of people in no benchmark."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from icl_lib.data.standin.attributes import VALUES, draw_identities
from icl_lib.data.standin.world import generic_shot
from icl_lib.results import atomic_path, atomic_write, progress
from icl_lib.results.files import locked

GENERIC_SEED = 7_000_000  # the stand-ins draw their identities from seeds far below
HEADS = {name: values for name, (values, _) in VALUES.items()}
HEADS["bag_colour"] = HEADS["hat_colour"] = ["none", *VALUES["bag_colour"][0]]


@dataclass
class GenericSet:
    """N drawn pictures and what is known about them.

    Attributes:
        pictures: uint8 [N, H, W, 3].
        person: index of the person in each picture, [N].
        truth: attribute -> value, for each picture.
        seen: the attributes that are visible, for each picture.
    """

    pictures: np.ndarray
    person: np.ndarray
    truth: list[dict]
    seen: list[set]

    def labels(self) -> np.ndarray:
        """Classes of the attributes, int64 [N, attributes]; -100 where one is not visible."""
        out = np.full((len(self.truth), len(HEADS)), -100, np.int64)
        for i, (truth, seen) in enumerate(zip(self.truth, self.seen, strict=True)):
            for j, (name, values) in enumerate(HEADS.items()):
                if name in seen and not (name.endswith("colour") and truth[name] == "none"):
                    out[i, j] = values.index(truth[name])
        return out


def _shots(person_index, people, each, size, seed, shot):
    rng = random.Random(f"generic-{seed}-{person_index}")
    out = []
    for _ in range(each):
        picture, truth, seen = shot(people[person_index], rng)
        out.append((np.asarray(picture.resize(size, Image.BICUBIC)), truth, sorted(seen)))
    return out


def generic_set(
    folder: Path,
    people: int,
    each: int,
    seed: int = GENERIC_SEED,
    size: tuple[int, int] = (48, 144),
    workers: int = 2,
    shot: Callable = generic_shot,
) -> GenericSet:
    """Draw `each` pictures of `people` people, or find them in `folder`.

    Args:
        folder: where the pictures and their truth are kept.
        people: number of people.
        each: pictures per person.
        seed: the same seed gives the same pictures.
        size: width and height in pixels.
        workers: processes that draw.
        shot: draws one picture of a person, as `generic_shot` does for the clean generic world.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = (
        folder / f"{shot.__name__.removesuffix('_shot')}-{seed}-{people}x{each}-{size[0]}x{size[1]}"
    )
    with locked(stem):  # the recipes of both models may run side by side
        if not stem.with_suffix(".jsonl").exists():
            _draw(stem, people, each, seed, size, workers, shot)
    rows = [json.loads(line) for line in stem.with_suffix(".jsonl").read_text().splitlines()]
    pictures = np.load(stem.with_suffix(".npy"), mmap_mode="r")
    return GenericSet(
        pictures,
        np.repeat(np.arange(people), each),
        [r[0] for r in rows],
        [set(r[1]) for r in rows],
    )


def _draw(stem: Path, people: int, each: int, seed: int, size, workers: int, shot: Callable):
    """Draw a set into `<stem>.npy` and, as a sign that it is complete, `<stem>.jsonl`."""
    persons, shape = draw_identities(people, seed), (people * each, size[1], size[0], 3)
    lines = []
    with atomic_path(stem.with_suffix(".npy")) as temp:
        pictures = np.lib.format.open_memmap(temp, "w+", np.uint8, shape)
        with ProcessPoolExecutor(workers) as pool:
            draw = partial(_shots, people=persons, each=each, size=size, seed=seed, shot=shot)
            for shots in progress(
                pool.map(draw, range(people), chunksize=32), f"drawing {stem.name}", total=people
            ):
                for picture, truth, seen in shots:
                    pictures[len(lines)] = picture
                    lines.append(json.dumps([truth, seen]))
        pictures.flush()
    atomic_write(stem.with_suffix(".jsonl"), "\n".join(lines))


MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's CLIP and of Qwen2-VL
STD = (0.26862954, 0.26130258, 0.27577711)


def augment(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Spoil pictures as photography does; uint8 [B, H, W, 3] to normalised float [B, 3, H, W].

    Random are: position, size (0.78 to 1.28), mirroring, resolution (50% to 100% of the height),
    blur, an obstacle at the bottom or on the left (7% each), brightness (0.5 to 1.35), colour cast
    (12%), haze (up to 9%) and noise (standard deviation up to 0.05 of the range).
    """
    x = pictures.permute(0, 3, 1, 2).float() / 255  # [B, 3, H, W]
    b, _, h, w = x.shape
    rand = partial(torch.rand, generator=rng)
    zoom = torch.exp((rand(b) - 0.5) * 0.5)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0] = zoom * torch.where(rand(b) < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = zoom * torch.exp((rand(b) - 0.5) * 0.1)
    theta[:, :, 2] = (rand(b, 2) - 0.5) * torch.tensor([0.4, 0.32])
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    x = torch.cat([_at_low_resolution(part, 0.5 + 0.6 * rand(1).item()) for part in x.chunk(4)])
    blurred = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    x = torch.lerp(x, blurred, (rand(b, 1, 1, 1) * 1.8 - 0.8).clamp(min=0))
    bottom = torch.where(rand(b) < 0.07, 0.8 + 0.15 * rand(b), 1.0)[:, None, None, None]
    left = torch.where(rand(b) < 0.07, 0.1 + 0.25 * rand(b), 0.0)[:, None, None, None]
    rows, columns = torch.arange(h)[:, None] / h, torch.arange(w) / w
    x = torch.where((rows >= bottom) | (columns < left), rand(b, 3, 1, 1), x)
    haze = 0.09 * rand(b, 1, 1, 1)
    light = 0.5 * 2.7 ** rand(b, 1, 1, 1) * (0.88 + 0.24 * rand(b, 3, 1, 1))
    x = x * light * (1 - haze) + haze
    noise = torch.randn(b, 3, h, w, generator=rng) * 0.05 * rand(b, 1, 1, 1)
    return normalise((x + noise).clamp(0, 1))


def _at_low_resolution(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Sample pictures [B, 3, H, W] at `factor` of their height and back; from 1 up, unchanged."""
    h, w = x.shape[-2:]
    if factor >= 1:
        return x
    low = F.interpolate(x, (int(h * factor), max(1, int(w * factor))), mode="area")
    return F.interpolate(low, (h, w), mode="bicubic", align_corners=False)


def normalise(x: torch.Tensor) -> torch.Tensor:
    """Scale pictures [B, 3, H, W] in [0, 1] as CLIP and Qwen2-VL expect them."""
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def plain(pictures: np.ndarray) -> torch.Tensor:
    """Normalise pictures, uint8 [B, H, W, 3] to float [B, 3, H, W], without augmentation."""
    return normalise(torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255)
