"""One training loop for every backbone and both profiles, resumable at any epoch bit for bit.

Alone or in several processes (`icl_lib.launch`): the whole batch is shared out, its vectors come together
again before the loss, and every process takes the same step. Process 0 alone writes.
"""

import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from icl_lib.data.views import Images, PairViews
from icl_lib.params import Params, digest
from icl_lib.results import atomic_path, atomic_write, progress, read_json, write_json
from icl_lib.retrieval import together
from icl_lib.retrieval.clean_pairs import divide
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.models import Backbone, load_backbone, new_backbone
from icl_lib.retrieval.objectives import Objective
from icl_lib.retrieval.schedule import lr_factor, parameter_groups, rda_weight

LAST, LOG, DONE = "last.pt", "log.csv", "training.json"


def train_backbone(params: Params, manifest, folder: Path | str, augmented: dict | None = None,
                   on_epoch: Callable[[list[dict]], None] | None = None) -> dict:
    """Trains `params.backbone` on the manifest's train split into `folder`; returns what training.json says.

    `augmented` (RDA) gives per caption_id a list of sub-sentences, each a list of rewritings; a caption that
    it lacks is its own second text. With backbone.noise (or noise_index) pairs are wired wrongly first. With
    backbone.accumulation k, k batches make one optimiser step; it is no larger batch, since a loss compares a
    pair with its own batch only. `on_epoch` is given the log's rows after every epoch.

    The folder gets the best epoch (`epoch_score`) as model.safetensors with backbone.json, which
    `load_backbone` reads, log.csv a row an epoch, and training.json at the end. Until then last.pt holds the latest epoch: a killed
    run called again goes on from it and ends with the same weights. A folder that is done is left as it is.
    With backbone.checkpoint nothing is trained: that backbone is put into the folder. Where processes train
    together all must call this (or `follow`); what process 0 is given counts. Raises ValueError if the folder
    holds another run's state, the train split is empty, or the loss is no longer finite.
    """
    return _train(*together.from_first((params, manifest, folder, augmented)), on_epoch)


def follow() -> None:
    """Takes part in every training that process 0 comes to, until that calls `dismiss`."""
    while (job := together.from_first(None)) is not None:
        _train(*job)


def dismiss() -> None:
    """Lets the processes that `follow` go; for process 0."""
    together.from_first(None)


def _train(params: Params, manifest, folder, augmented: dict | None, on_epoch=None) -> dict:
    folder = Path(folder)
    run = run_key(params, manifest, augmented)
    if done := together.from_first(_found(folder, run) if together.rank() == 0 else None):
        return done
    if params.backbone.checkpoint is not None:
        return _adopt(params, manifest, folder, run)
    return _Training(params, manifest, folder, augmented, run, on_epoch).go()


def epoch_score(row, select_on: str):
    """What the kept epoch is best in, of a row of the log or of all: Rank-1 + mAP on val, as ξ and λ are chosen.

    Rank-1 alone jumps by single queries where val is small. On test, which is chosen to be compared with the
    released code, it is that code's Rank-1.
    """
    return row["rank1"] if select_on == "test" else row["rank1"] + row["mAP"]


def run_key(params: Params, manifest, augmented: dict | None = None) -> str:
    """12 hex digits of all that the weights depend on: settings, seed, the manifest's pairs, the augmented
    texts."""
    import pandas as pd

    columns = ["split", "pid", "image_id", "caption_id", "caption"]
    pairs = pd.util.hash_pandas_object(manifest[columns].astype(str), index=False).to_numpy()
    texts = None if augmented is None else {str(key): augmented[key] for key in sorted(augmented)}
    return digest({"params": params.key("backbone"), "pairs": digest(pairs.tolist()),
                   "augmented": digest(texts)} | noise_key(params))


def noise_key(params: Params) -> dict:
    """What the file of backbone.noise_index holds, as part of a key; empty without one."""
    path = params.backbone.noise_index
    if path is None:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(f"no noise index at {path} (backbone.noise_index): give a .npy file, or a "
                                "share of wrong pairs as backbone.noise")
    return {"noise_index": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def similarity(model: Backbone, manifest, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S of every caption of `split` with every image of it [Q, G], query_pids [Q] and gallery_pids [G].

    Rows are the split's captions in the manifest's order, columns its images in order of first appearance.
    """
    rows = manifest[manifest["split"] == split]
    captions, images = rows[rows["caption_id"] >= 0], rows.drop_duplicates("image_id")
    # Shared out where processes train together, and then joined again; alone, the share is all of it.
    f = together.joined(model.encode_texts(together.share(captions["caption"].tolist())))
    g = together.joined(model.encode_images(together.share(images["path"].tolist())))
    return f @ g.T, captions["pid"].to_numpy(), images["pid"].to_numpy()


class _Training:
    """The state of one run: model, optimiser, data, log, best epoch."""

    def __init__(self, params: Params, manifest, folder: Path, augmented: dict | None, run: str,
                 on_epoch: Callable[[list[dict]], None] | None = None):
        self.settings, self.seed, self.folder, self.run = params.backbone, params.seed, folder, run
        self.epochs, self.rows, self.best, self.next_epoch = params.backbone.epochs, [], None, 0
        self.on_epoch = on_epoch
        self.manifest, self.truth = _with_noise(manifest, params)
        _check(self.manifest, self.settings)
        train = _pairs(self.manifest)
        self.model = new_backbone(params, train["pid"].unique())
        self.model.autocast()  # a precision that this machine lacks is refused before anything is read
        self.objective = Objective(self.settings)
        groups = parameter_groups(self.model, self.settings)
        self.optimiser = torch.optim.Adam(groups, fused=self.model.device.type in ("cpu", "cuda"))
        # fp16 cannot hold small gradients: they are scaled up for the backward pass and down for the step.
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.settings.precision == "fp16")
        wanted = self.settings.select_on
        self.select_on = wanted if (manifest["split"] == wanted).any() else None
        self._read_pairs(train, augmented)

    def _read_pairs(self, train, augmented: dict | None) -> None:
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
            if together.rank() == 0:
                self._keep(row)
                if self.on_epoch is not None:
                    self.on_epoch(self.rows)
        return self._finish()

    def _epoch(self, epoch: int) -> dict:
        """Trains one epoch; its mean loss a pair, the share of pairs believed, and how right that was."""
        clean = torch.from_numpy(self._clean(epoch))
        weight = rda_weight(epoch, self.settings.rda_weight_slope, self.settings.rda_weight_floor)
        loader = self.views.loader(epoch, self.settings.batch_size, together.share, max(2, together.world()))
        total, pairs, every = 0.0, 0, self.settings.accumulation
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        for step, batch in enumerate(progress(loader, f"epoch {epoch + 1}/{self.epochs}", len(loader))):
            loss = self._batch_loss(batch, clean[batch["pair"]], weight)
            if not torch.isfinite(loss):
                raise ValueError(f"the loss became {loss.item()} in epoch {epoch}, step {step}: lower "
                                 "backbone.lr, or set backbone.precision to fp32. The last whole epoch is "
                                 "kept.")
            # Every process holds the whole batch's loss: its gradient is that of the sum over processes.
            self.scaler.scale(loss / together.world()).backward()
            if (step + 1) % every == 0 or step + 1 == len(loader):
                self._step(epoch + step // every * every / len(loader))
            total, pairs = total + loss.item(), pairs + len(batch["pair"])
        return {"loss": total / max(1, together.total(pairs))} | self._believed(clean.numpy())

    def _step(self, epoch: float) -> None:
        factor = self._factor(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        together.sum_gradients(self.model.parameters())
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def _believed(self, clean: np.ndarray) -> dict:
        """The log's columns on CCD: share believed; where the truth is known, its precision and recall."""
        row = {"clean": float(clean.mean())}
        if self.truth is not None:
            right = (clean & self.truth).sum()
            row |= {"clean_precision": float(right / max(1, clean.sum())),
                    "clean_recall": float(right / max(1, self.truth.sum()))}
        return row

    def _batch_loss(self, batch: dict, clean: torch.Tensor, weight: float) -> torch.Tensor:
        """The objective of one batch: of its texts, plus `weight` times that of its second texts."""
        pids = self.pids[batch["pair"]].to(self.model.device)
        with self.model.autocast():
            outputs = self.model(batch | {"pids": pids})
        whole = together.gathered((outputs, pids, clean.to(self.model.device).float()))
        return self.objective(*whole, weight)

    def _clean(self, epoch: int) -> np.ndarray:
        """CCD's verdict [P]; per-pair losses come from plain views, each image and caption encoded once."""
        if not self.settings.ccd:
            return np.ones(len(self.ids), dtype=bool)
        rng = np.random.default_rng((self.seed, epoch, 1))
        mine = together.share(range(len(self.images)))
        images = self.model.encode_images(self.images.part(slice(mine.start, mine.stop)))
        texts = self.model.encode_ids(together.share(self.ids))
        images, texts = (self.model.branches_of(together.joined(vectors)) for vectors in (images, texts))
        losses = {name: np.zeros(len(self.ids)) for name in images}
        for pairs in np.array_split(rng.permutation(len(self.ids)),
                                    math.ceil(len(self.ids) / self.settings.batch_size)):
            for name, values in losses.items():
                sim = torch.from_numpy(texts[name][pairs] @ images[name][self.image_of[pairs]].T)
                values[pairs] = self.objective.per_pair(sim, self.pids[pairs]).numpy()
        return together.from_first(divide(losses, rng))

    def _factor(self, epoch: float) -> float:
        final = self.settings.final_lr / self.settings.lr if self.settings.lr else 0.0
        return lr_factor(epoch, self.epochs, self.settings.warmup_epochs, self.settings.warmup_factor, final)

    def _keep(self, row: dict) -> None:
        """Writes the epoch down: the best model first, so that last.pt never speaks of one that is not there.
        """
        split = self.select_on
        if self.best is None or not split or epoch_score(row, split) > epoch_score(self.best, split):
            self.best = dict(row)
            self.model.save(self.folder)
        names = list(self.rows[0])
        lines = [",".join(names)] + [",".join(f"{r[n]:.6g}" for n in names) for r in self.rows]
        atomic_write(self.folder / LOG, "\n".join(lines) + "\n")
        with atomic_path(self.folder / LAST) as temp:
            torch.save({"run": self.run, "next_epoch": row["epoch"] + 1, "rows": self.rows, "best": self.best,
                        "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
                        "scaler": self.scaler.state_dict()}, temp)

    def _resume(self) -> None:
        """Goes on from last.pt, which process 0 alone may have; then all have the same weights."""
        last = together.from_first(self._last() if together.rank() == 0 else None)
        if last is not None:
            self.model.load_state_dict(last["model"])
            self.optimiser.load_state_dict(last["optimiser"])
            self.scaler.load_state_dict(last["scaler"])
            self.next_epoch, self.rows, self.best = last["next_epoch"], last["rows"], last["best"]
        together.same_weights(self.model)

    def _last(self) -> dict | None:
        if not (self.folder / LAST).is_file():
            return None
        last = torch.load(self.folder / LAST, map_location="cpu", weights_only=True)
        _same_run(last["run"], self.run, self.folder)
        return last

    def _finish(self) -> dict:
        done = {"run": self.run, "selected_on": self.select_on or "last epoch", "best": self.best,
                "epochs": self.epochs, "pairs": len(self.ids), "images": len(self.images),
                "rda": self.views.parts is not None,
                "seconds": round(sum(row["seconds"] for row in self.rows), 2)}
        if together.rank() == 0:
            write_json(self.folder / DONE, done)
            (self.folder / LAST).unlink(missing_ok=True)
        return together.from_first(done)


def _pairs(manifest):
    """The training pairs: the train split's captions, in the manifest's order."""
    return manifest[(manifest["split"] == "train") & (manifest["caption_id"] >= 0)]


def _with_noise(manifest, params: Params) -> tuple:
    """The manifest with backbone.noise in its pairs, and which of them are right [P], None if all are."""
    index, share = params.backbone.noise_index, params.backbone.noise
    if index is None and not share:
        return manifest, None
    from icl_lib.data.noise import apply_noise

    return apply_noise(manifest, share if index is None else index, params.seed)


def _check(manifest, settings) -> None:
    pairs = len(_pairs(manifest))
    if pairs < 2:
        raise ValueError(f"the train split has {pairs} captions; training needs at least 2. Check the data "
                         "set with `icl data check`.")
    if settings.batch_size < together.world():
        raise ValueError(f"backbone.batch_size {settings.batch_size} is the whole batch, which "
                         f"{together.world()} processes cannot share out: start fewer, or raise it")


def _found(folder: Path, run: str) -> dict | None:
    """training.json of a folder that is done; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DONE).is_file():
        return None
    done = read_json(folder / DONE)
    _same_run(done["run"], run, folder)
    return done


def _adopt(params: Params, manifest, folder: Path, run: str) -> dict:
    """Puts backbone.checkpoint into `folder` as if one epoch had been trained, its loss not known."""
    start, model, wanted = time.perf_counter(), load_backbone(params), params.backbone.select_on
    row = {"epoch": 0, "lr": 0.0, "loss": math.nan, "clean": 1.0}
    if (manifest["split"] == wanted).any():
        row |= retrieval_metrics(*similarity(model, manifest, wanted))
    row["seconds"] = round(time.perf_counter() - start, 2)
    train = _pairs(manifest)
    done = {"run": run, "selected_on": f"whoever made {Path(params.backbone.checkpoint).name}", "best": row,
            "epochs": 0, "pairs": len(train), "images": train["image_id"].nunique(), "rda": False,
            "seconds": row["seconds"]}
    if together.rank() == 0:
        model.save(folder)
        values = ",".join(f"{value:.6g}" for value in row.values())
        atomic_write(folder / LOG, f"{','.join(row)}\n{values}\n")
        write_json(folder / DONE, done)
    return together.from_first(done)


def _same_run(found: str, wanted: str, folder: Path) -> None:
    if found != wanted:
        raise ValueError(f"{folder} holds the training of other settings, data or texts (run {found}, this "
                         f"one is {wanted}). Give another folder, or remove that one.")
