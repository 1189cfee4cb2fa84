"""One training loop for every backbone and both profiles, resumable at any epoch bit for bit."""

import math
import time
from pathlib import Path

import numpy as np
import torch

from icl_lib.data.views import Images, PairViews
from icl_lib.params import Params, digest
from icl_lib.results import atomic_path, atomic_write, progress, read_json, write_json
from icl_lib.retrieval.clean_pairs import divide
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.models import Backbone, load_backbone, new_backbone
from icl_lib.retrieval.objectives import Objective

LAST, LOG, DONE = "last.pt", "log.csv", "training.json"


def train_backbone(params: Params, manifest, folder: Path | str, augmented: dict | None = None) -> dict:
    """Trains `params.backbone` on the manifest's train split into `folder`; returns what training.json says.

    `augmented` (RDA) gives per caption_id a list of sub-sentences, each a list of rewritings; a caption that
    it lacks is its own second text. The folder gets the best epoch as model.safetensors with backbone.json
    (`load_backbone` reads them), log.csv a row an epoch, and training.json at the end. Until then last.pt
    holds the latest epoch: a killed run called again goes on from it and ends with the same weights. A folder
    that is done is left as it is. With backbone.checkpoint nothing is trained: that backbone is put into the
    folder. Raises ValueError if the folder holds another run's state, the train split
    is empty, or the loss is no longer finite.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = run_key(params, manifest, augmented)
    if (folder / DONE).is_file():
        done = read_json(folder / DONE)
        _same_run(done["run"], run, folder)
        return done
    if params.backbone.checkpoint is not None:
        return _adopt(params, manifest, folder, run)
    return _Training(params, manifest, folder, augmented, run).go()


def run_key(params: Params, manifest, augmented: dict | None = None) -> str:
    """12 hex digits of all that the weights depend on: settings, seed, the manifest's pairs, the augmented
    texts."""
    import pandas as pd

    columns = ["split", "pid", "image_id", "caption_id", "caption"]
    pairs = pd.util.hash_pandas_object(manifest[columns].astype(str), index=False).to_numpy()
    texts = None if augmented is None else {str(key): augmented[key] for key in sorted(augmented)}
    return digest({"params": params.key("backbone"), "pairs": digest(pairs.tolist()),
                   "augmented": digest(texts)})


def lr_factor(epoch: float, epochs: int, warmup: int, warmup_factor: float, final: float = 0.0) -> float:
    """Share of the learning rate at `epoch` (from 0; fractions are within an epoch), in [0, 1].

    Linear from warmup_factor to 1 over `warmup` epochs, then a cosine to `final` at the end. Whole epochs
    agree with the released schedule; between them this one goes on smoothly, which matters when epochs are
    few.
    """
    if epoch < warmup:
        return warmup_factor + (1 - warmup_factor) * epoch / warmup
    done = (epoch - warmup) / max(1, epochs - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(model: Backbone, settings) -> list[dict]:
    """Adam's groups, each with `base_lr`: CLIP's weights, biases (own factor, no weight decay), the layers
    that a method adds at their own rate (TSE's: tse_lr), text positions at their own factor where they were
    resized."""
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
    return [{"params": members, "lr": lr, "base_lr": lr, "weight_decay": decay}
            for (lr, decay), members in groups.items()]


def rda_weight(epoch: int, slope: float = 0.03, floor: float = 0.1) -> float:
    """w(epoch) = max(floor, 1 − slope·epoch), the weight of the augmented texts' loss; epochs from 0."""
    return max(floor, 1 - slope * epoch)


def similarity(model: Backbone, manifest, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S of every caption of `split` with every image of it [Q, G], query_pids [Q] and gallery_pids [G].

    Rows are the split's captions in the manifest's order, columns its images in order of first appearance.
    """
    captions = manifest[manifest["split"] == split]
    images = captions.drop_duplicates("image_id")
    sim = model.encode_texts(captions["caption"].tolist()) @ model.encode_images(images["path"].tolist()).T
    return sim, captions["pid"].to_numpy(), images["pid"].to_numpy()


class _Training:
    """The state of one run: model, optimiser, data, log, best epoch."""

    def __init__(self, params: Params, manifest, folder: Path, augmented: dict | None, run: str):
        self.settings, self.seed, self.folder, self.run = params.backbone, params.seed, folder, run
        self.epochs, self.rows, self.best, self.next_epoch = params.backbone.epochs, [], None, 0
        self.model = new_backbone(params, manifest.loc[manifest["split"] == "train", "pid"].unique())
        self.objective = Objective(self.settings)
        groups = parameter_groups(self.model, self.settings)
        self.optimiser = torch.optim.Adam(groups, fused=self.model.device.type in ("cpu", "cuda"))
        self.manifest = manifest
        wanted = self.settings.select_on
        self.select_on = wanted if (manifest["split"] == wanted).any() else None
        self._read_pairs(augmented)

    def _read_pairs(self, augmented: dict | None) -> None:
        train = self.manifest[self.manifest["split"] == "train"]
        if len(train) < 2:
            raise ValueError(f"the train split has {len(train)} captions; training needs at least 2. Check "
                             "the data set with `icl data check`.")
        images = train.drop_duplicates("image_id")
        slot = {image: i for i, image in enumerate(images["image_id"])}
        self.image_of = np.array([slot[image] for image in train["image_id"]])
        self.pids = torch.from_numpy(train["pid"].to_numpy(dtype=np.int64, copy=True))
        self.ids = self.model.tokenise(train["caption"].tolist())
        self.images = Images(images["path"].tolist(), self.model.image_size)
        parts = [augmented.get(caption) for caption in train["caption_id"]] if augmented is not None else None
        self.views = PairViews(self.images, self.image_of, self.ids.numpy(), self.model.tokenizer,
                               self.settings, self.seed, parts, self.settings.rda_texts == "only",
                               self.objective.masked)

    def go(self) -> dict:
        self._resume()
        for epoch in range(self.next_epoch, self.epochs):
            start = time.perf_counter()
            row = {"epoch": epoch, "lr": self.settings.lr * self._factor(epoch)} | self._epoch(epoch)
            if self.select_on:
                row |= retrieval_metrics(*similarity(self.model, self.manifest, self.select_on))
            row["seconds"] = round(time.perf_counter() - start, 2)
            self.rows.append(row)
            self._keep(row)
        return self._finish()

    def _epoch(self, epoch: int) -> dict:
        """Trains one epoch; its mean loss a pair, and the share of pairs believed."""
        clean = torch.from_numpy(self._clean(epoch))
        weight = rda_weight(epoch, self.settings.rda_weight_slope, self.settings.rda_weight_floor)
        loader, total, pairs = self.views.loader(epoch, self.settings.batch_size), 0.0, 0
        self.model.train()
        for step, batch in enumerate(progress(loader, f"epoch {epoch + 1}/{self.epochs}", len(loader))):
            factor = self._factor(epoch + step / len(loader))
            for group in self.optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
            loss = self._batch_loss(batch, clean[batch["pair"]], weight)
            if not torch.isfinite(loss):
                raise ValueError(f"the loss became {loss.item()} in epoch {epoch}, step {step}: lower "
                                 "backbone.lr, or set backbone.precision to fp32. The last whole epoch is "
                                 "kept.")
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            total, pairs = total + loss.item(), pairs + len(batch["pair"])
        return {"loss": total / max(1, pairs), "clean": float(clean.float().mean())}

    def _batch_loss(self, batch: dict, clean: torch.Tensor, weight: float) -> torch.Tensor:
        """The objective of one batch: of its texts, plus `weight` times that of its second texts."""
        pids = self.pids[batch["pair"]].to(self.model.device)
        with self.model.autocast():
            outputs = self.model(batch | {"pids": pids})
        return self.objective(outputs, pids, clean.to(self.model.device), weight)

    def _clean(self, epoch: int) -> np.ndarray:
        """CCD's verdict [P]; per-pair losses come from plain views, each image and caption encoded once."""
        if not self.settings.ccd:
            return np.ones(len(self.ids), dtype=bool)
        rng = np.random.default_rng((self.seed, epoch, 1))
        images = self.model.branches_of(self.model.encode_images(self.images))
        texts = self.model.branches_of(self.model.encode_ids(self.ids))
        losses = {name: np.zeros(len(self.ids)) for name in images}
        for pairs in np.array_split(rng.permutation(len(self.ids)),
                                    math.ceil(len(self.ids) / self.settings.batch_size)):
            for name, values in losses.items():
                sim = torch.from_numpy(texts[name][pairs] @ images[name][self.image_of[pairs]].T)
                values[pairs] = self.objective.per_pair(sim, self.pids[pairs]).numpy()
        return divide(losses, rng)

    def _factor(self, epoch: float) -> float:
        final = self.settings.final_lr / self.settings.lr if self.settings.lr else 0.0
        return lr_factor(epoch, self.epochs, self.settings.warmup_epochs, self.settings.warmup_factor, final)

    def _keep(self, row: dict) -> None:
        """Writes the epoch down: the best model first, so that last.pt never speaks of one that is not there.
        """
        if self.best is None or not self.select_on or row["rank1"] > self.best["rank1"]:
            self.best = dict(row)
            self.model.save(self.folder)
        names = list(self.rows[0])
        lines = [",".join(names)] + [",".join(f"{r[n]:.6g}" for n in names) for r in self.rows]
        atomic_write(self.folder / LOG, "\n".join(lines) + "\n")
        with atomic_path(self.folder / LAST) as temp:
            torch.save({"run": self.run, "next_epoch": row["epoch"] + 1, "rows": self.rows, "best": self.best,
                        "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}, temp)

    def _resume(self) -> None:
        if not (self.folder / LAST).is_file():
            return
        last = torch.load(self.folder / LAST, map_location=self.model.device, weights_only=True)
        _same_run(last["run"], self.run, self.folder)
        self.model.load_state_dict(last["model"])
        self.optimiser.load_state_dict(last["optimiser"])
        self.next_epoch, self.rows, self.best = last["next_epoch"], last["rows"], last["best"]

    def _finish(self) -> dict:
        done = {"run": self.run, "selected_on": self.select_on or "last epoch", "best": self.best,
                "epochs": self.epochs, "pairs": len(self.ids), "images": len(self.images),
                "rda": self.views.parts is not None,
                "seconds": round(sum(row["seconds"] for row in self.rows), 2)}
        write_json(self.folder / DONE, done)
        (self.folder / LAST).unlink(missing_ok=True)
        return done


def _adopt(params: Params, manifest, folder: Path, run: str) -> dict:
    """Puts backbone.checkpoint into `folder` as if one epoch had been trained, its loss not known."""
    start, model, wanted = time.perf_counter(), load_backbone(params), params.backbone.select_on
    row = {"epoch": 0, "lr": 0.0, "loss": math.nan, "clean": 1.0}
    if (manifest["split"] == wanted).any():
        row |= retrieval_metrics(*similarity(model, manifest, wanted))
    row["seconds"] = round(time.perf_counter() - start, 2)
    train = manifest[manifest["split"] == "train"]
    model.save(folder)
    atomic_write(folder / LOG, ",".join(row) + "\n" + ",".join(f"{value:.6g}" for value in row.values()) + "\n")
    done = {"run": run, "selected_on": f"whoever made {Path(params.backbone.checkpoint).name}", "best": row,
            "epochs": 0, "pairs": len(train), "images": train["image_id"].nunique(), "rda": False,
            "seconds": row["seconds"]}
    write_json(folder / DONE, done)
    return done


def _same_run(found: str, wanted: str, folder: Path) -> None:
    if found != wanted:
        raise ValueError(f"{folder} holds the training of other settings, data or texts (run {found}, this "
                         f"one is {wanted}). Give another folder, or remove that one.")
