"""The generic world that the small models learn from: clean pictures of people in no benchmark."""

import json
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from icl_lib.data.standin.attributes import VALUES, draw_identities
from icl_lib.data.standin.world import generic_shot
from icl_lib.results import progress

GENERIC_SEED = 7_000_000  # the stand-ins draw their identities from seeds far below
HEADS = {name: values for name, (values, _) in VALUES.items()}
HEADS["bag_colour"] = HEADS["hat_colour"] = ["none", *VALUES["bag_colour"][0]]


@dataclass
class GenericSet:
    """N generic pictures and what is known about them.

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


def _shots(person_index, people, each, size, seed):
    rng = random.Random(f"generic-{seed}-{person_index}")
    out = []
    for _ in range(each):
        picture, truth, seen = generic_shot(people[person_index], rng)
        out.append((np.asarray(picture.resize(size, Image.BICUBIC)), truth, sorted(seen)))
    return out


def generic_set(
    folder: Path,
    people: int,
    each: int,
    seed: int = GENERIC_SEED,
    size: tuple[int, int] = (48, 144),
    workers: int = 2,
) -> GenericSet:
    """Draw `each` generic pictures of `people` people, or find them in `folder`.

    Args:
        folder: where the pictures and their truth are kept.
        people: number of people.
        each: pictures per person.
        seed: the same seed gives the same pictures.
        size: width and height in pixels.
        workers: processes that draw.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"generic-{seed}-{people}x{each}-{size[0]}x{size[1]}"
    if not stem.with_suffix(".jsonl").exists():
        persons = draw_identities(people, seed)
        pictures = np.lib.format.open_memmap(
            stem.with_suffix(".npy"), "w+", np.uint8, (people * each, size[1], size[0], 3)
        )
        lines = []
        with ProcessPoolExecutor(workers) as pool:
            draw = partial(_shots, people=persons, each=each, size=size, seed=seed)
            for shots in progress(
                pool.map(draw, range(people), chunksize=32), "generic world", total=people
            ):
                for picture, truth, seen in shots:
                    pictures[len(lines)] = picture
                    lines.append(json.dumps([truth, seen]))
        pictures.flush()
        partial_file = stem.with_suffix(".tmp")
        partial_file.write_text("\n".join(lines))
        partial_file.replace(stem.with_suffix(".jsonl"))
    rows = [json.loads(line) for line in stem.with_suffix(".jsonl").read_text().splitlines()]
    pictures = np.load(stem.with_suffix(".npy"), mmap_mode="r")
    return GenericSet(
        pictures,
        np.repeat(np.arange(people), each),
        [r[0] for r in rows],
        [set(r[1]) for r in rows],
    )


MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's CLIP and of Qwen2-VL
STD = (0.26862954, 0.26130258, 0.27577711)


def augment(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Augment and normalise pictures, uint8 [B, H, W, 3] to float [B, 3, H, W].

    The shift, zoom, mirroring, brightness, colour cast, blur and noise are random.
    """
    x = pictures.permute(0, 3, 1, 2).float() / 255  # [B, 3, H, W]
    b, _, h, w = x.shape
    rand = partial(torch.rand, generator=rng)
    shift = (rand(b, 2) - 0.5) * torch.tensor([0.16, 0.12])
    zoom = 1 + (rand(b) - 0.5) * 0.3
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = (
        zoom * torch.where(rand(b) < 0.5, -1.0, 1.0),
        zoom,
        shift * 2,
    )
    x = torch.nn.functional.grid_sample(
        x,
        torch.nn.functional.affine_grid(theta, x.shape, align_corners=False),
        padding_mode="border",
        align_corners=False,
    )
    blurred = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    x = torch.lerp(x, blurred, (rand(b, 1, 1, 1) * 1.6 - 0.6).clamp(min=0))
    x = x * (0.7 + 0.55 * rand(b, 1, 1, 1)) * (0.92 + 0.16 * rand(b, 3, 1, 1)) + 0.07 * rand(
        b, 1, 1, 1
    )
    x = x + torch.randn(b, 3, h, w, generator=rng) * 0.035 * rand(b, 1, 1, 1)
    return normalise(x.clamp(0, 1))


def normalise(x: torch.Tensor) -> torch.Tensor:
    """Scale pictures [B, 3, H, W] in [0, 1] as CLIP and Qwen2-VL expect them."""
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def plain(pictures: np.ndarray) -> torch.Tensor:
    """Normalise pictures, uint8 [B, H, W, 3] to float [B, 3, H, W], without augmentation."""
    return normalise(torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255)
