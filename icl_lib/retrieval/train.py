"""One training loop for every backbone and both profiles, resumable at any epoch bit for bit.

Alone or in several processes (`icl_lib.cli.launch`): the whole batch is shared out, its vectors come together
again before the loss, and every process takes the same step. Process 0 alone writes.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from icl_lib.data.views import Images, PairViews
from icl_lib.params import Params
from icl_lib.results import atomic_path, atomic_write, progress, write_json
from icl_lib.retrieval import distributed
from icl_lib.retrieval.ccd import divide
from icl_lib.retrieval.evaluate import epoch_score, similarity
from icl_lib.retrieval.load import new_backbone
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.objectives import Objective
from icl_lib.retrieval.run_folder import (
    DONE,
    LAST,
    LOG,
    _adopt,
    _check,
    _found,
    _pairs,
    _same_run,
    _with_noise,
    run_key,
)
from icl_lib.retrieval.schedule import lr_factor, parameter_groups, rda_weight


def train_backbone(
    params: Params,
    manifest,
    folder: Path | str,
    augmented: dict | None = None,
    on_epoch: Callable[[list[dict]], None] | None = None,
) -> dict:
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
    return _train(*distributed.from_first((params, manifest, folder, augmented)), on_epoch)


def follow() -> None:
    """Takes part in every training that process 0 comes to, until that calls `dismiss`."""
    while (job := distributed.from_first(None)) is not None:
        _train(*job)


def dismiss() -> None:
    """Lets the processes that `follow` go; for process 0."""
    distributed.from_first(None)


def _train(params: Params, manifest, folder, augmented: dict | None, on_epoch=None) -> dict:
    folder = Path(folder)
    run = run_key(params, manifest, augmented)
    if done := distributed.from_first(_found(folder, run) if distributed.rank() == 0 else None):
        return done
    if params.backbone.checkpoint is not None:
        return _adopt(params, manifest, folder, run)
    return _Training(params, manifest, folder, augmented, run, on_epoch).go()


class _Training:
    """The state of one run: model, optimiser, data, log, best epoch."""

    def __init__(
        self,
        params: Params,
        manifest,
        folder: Path,
        augmented: dict | None,
        run: str,
        on_epoch: Callable[[list[dict]], None] | None = None,
    ):
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
        parts = (
            [augmented.get(caption) for caption in train["caption_id"]]
            if augmented is not None
            else None
        )
        self.views = PairViews(
            self.images,
            self.image_of,
            self.ids.numpy(),
            self.model.tokenizer,
            self.settings,
            self.seed,
            parts,
            self.settings.rda_texts == "only",
            self.objective.masked,
        )

    def go(self) -> dict:
        self._resume()
        for epoch in range(self.next_epoch, self.epochs):
            start = time.perf_counter()
            row = {"epoch": epoch, "lr": self.settings.lr * self._factor(epoch)} | self._epoch(
                epoch
            )
            if self.select_on:
                row |= retrieval_metrics(*similarity(self.model, self.manifest, self.select_on))
            row["seconds"] = round(time.perf_counter() - start, 2)
            self.rows.append(row)
            if distributed.rank() == 0:
                self._keep(row)
                if self.on_epoch is not None:
                    self.on_epoch(self.rows)
        return self._finish()

    def _epoch(self, epoch: int) -> dict:
        """Trains one epoch; its mean loss a pair, the share of pairs believed, and how right that was."""
        clean = torch.from_numpy(self._clean(epoch))
        weight = rda_weight(epoch, self.settings.rda_weight_slope, self.settings.rda_weight_floor)
        loader = self.views.loader(
            epoch, self.settings.batch_size, distributed.share, max(2, distributed.world())
        )
        total, pairs, every = 0.0, 0, self.settings.accumulation
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        for step, batch in enumerate(
            progress(loader, f"epoch {epoch + 1}/{self.epochs}", len(loader))
        ):
            loss = self._batch_loss(batch, clean[batch["pair"]], weight)
            if not torch.isfinite(loss):
                raise ValueError(
                    f"the loss became {loss.item()} in epoch {epoch}, step {step}: lower "
                    "backbone.lr, or set backbone.precision to fp32. The last whole epoch is "
                    "kept."
                )
            # Every process holds the whole batch's loss: its gradient is that of the sum over processes.
            self.scaler.scale(loss / distributed.world()).backward()
            if (step + 1) % every == 0 or step + 1 == len(loader):
                self._step(epoch + step // every * every / len(loader))
            total, pairs = total + loss.item(), pairs + len(batch["pair"])
        return {"loss": total / max(1, distributed.total(pairs))} | self._believed(clean.numpy())

    def _step(self, epoch: float) -> None:
        factor = self._factor(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        distributed.sum_gradients(self.model.parameters())
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def _believed(self, clean: np.ndarray) -> dict:
        """The log's columns on CCD: share believed; where the truth is known, its precision and recall."""
        row = {"clean": float(clean.mean())}
        if self.truth is not None:
            right = (clean & self.truth).sum()
            row |= {
                "clean_precision": float(right / max(1, clean.sum())),
                "clean_recall": float(right / max(1, self.truth.sum())),
            }
        return row

    def _batch_loss(self, batch: dict, clean: torch.Tensor, weight: float) -> torch.Tensor:
        """The objective of one batch: of its texts, plus `weight` times that of its second texts."""
        pids = self.pids[batch["pair"]].to(self.model.device)
        with self.model.autocast():
            outputs = self.model(batch | {"pids": pids})
        whole = distributed.gathered((outputs, pids, clean.to(self.model.device).float()))
        return self.objective(*whole, weight)

    def _clean(self, epoch: int) -> np.ndarray:
        """CCD's verdict [P]; per-pair losses come from plain views, each image and caption encoded once."""
        if not self.settings.ccd:
            return np.ones(len(self.ids), dtype=bool)
        rng = np.random.default_rng((self.seed, epoch, 1))
        mine = distributed.share(range(len(self.images)))
        images = self.model.encode_images(self.images.part(slice(mine.start, mine.stop)))
        texts = self.model.encode_ids(distributed.share(self.ids))
        images, texts = (
            self.model.branches_of(distributed.joined(vectors)) for vectors in (images, texts)
        )
        losses = {name: np.zeros(len(self.ids)) for name in images}
        for pairs in np.array_split(
            rng.permutation(len(self.ids)), math.ceil(len(self.ids) / self.settings.batch_size)
        ):
            for name, values in losses.items():
                sim = torch.from_numpy(texts[name][pairs] @ images[name][self.image_of[pairs]].T)
                values[pairs] = self.objective.per_pair(sim, self.pids[pairs]).numpy()
        return distributed.from_first(divide(losses, rng))

    def _factor(self, epoch: float) -> float:
        final = self.settings.final_lr / self.settings.lr if self.settings.lr else 0.0
        return lr_factor(
            epoch, self.epochs, self.settings.warmup_epochs, self.settings.warmup_factor, final
        )

    def _keep(self, row: dict) -> None:
        """Writes the epoch down: the best model first, so that last.pt never speaks of one that is not there."""
        split = self.select_on
        if (
            self.best is None
            or not split
            or epoch_score(row, split) > epoch_score(self.best, split)
        ):
            self.best = dict(row)
            self.model.save(self.folder)
        names = list(self.rows[0])
        lines = [",".join(names)] + [",".join(f"{r[n]:.6g}" for n in names) for r in self.rows]
        atomic_write(self.folder / LOG, "\n".join(lines) + "\n")
        with atomic_path(self.folder / LAST) as temp:
            torch.save(
                {
                    "run": self.run,
                    "next_epoch": row["epoch"] + 1,
                    "rows": self.rows,
                    "best": self.best,
                    "model": self.model.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "scaler": self.scaler.state_dict(),
                },
                temp,
            )

    def _resume(self) -> None:
        """Goes on from last.pt, which process 0 alone may have; then all have the same weights."""
        last = distributed.from_first(self._last() if distributed.rank() == 0 else None)
        if last is not None:
            self.model.load_state_dict(last["model"])
            self.optimiser.load_state_dict(last["optimiser"])
            self.scaler.load_state_dict(last["scaler"])
            self.next_epoch, self.rows, self.best = last["next_epoch"], last["rows"], last["best"]
        distributed.same_weights(self.model)

    def _last(self) -> dict | None:
        if not (self.folder / LAST).is_file():
            return None
        last = torch.load(self.folder / LAST, map_location="cpu", weights_only=True)
        _same_run(last["run"], self.run, self.folder)
        return last

    def _finish(self) -> dict:
        done = {
            "run": self.run,
            "selected_on": self.select_on or "last epoch",
            "best": self.best,
            "epochs": self.epochs,
            "pairs": len(self.ids),
            "images": len(self.images),
            "rda": self.views.parts is not None,
            "seconds": round(sum(row["seconds"] for row in self.rows), 2),
        }
        if distributed.rank() == 0:
            write_json(self.folder / DONE, done)
            (self.folder / LAST).unlink(missing_ok=True)
        return distributed.from_first(done)
