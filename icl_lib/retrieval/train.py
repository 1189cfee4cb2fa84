"""One training loop for all backbones; it resumes after any epoch, bit for bit.

Several processes may train together (see icl_lib.cli.launch): each encodes its share of a batch,
the vectors of all are gathered for the loss, and every process takes the same step. Process 0 alone
writes.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from icl_lib.data.noise import apply_noise
from icl_lib.data.views import Images, PairViews
from icl_lib.params import Params
from icl_lib.results import atomic_path, progress
from icl_lib.retrieval import distributed
from icl_lib.retrieval.ccd import divide
from icl_lib.retrieval.evaluate import epoch_score, similarity
from icl_lib.retrieval.load import new_backbone
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.objectives import Objective
from icl_lib.retrieval.run_folder import (
    LAST,
    adopt_checkpoint,
    check_run,
    check_trainable,
    finish,
    finished,
    run_key,
    training_pairs,
    write_log,
)
from icl_lib.retrieval.schedule import lr_factor, parameter_groups, rda_weight

OnEpoch = Callable[[list[dict]], None]


def train_backbone(
    params: Params,
    manifest: pd.DataFrame,
    folder: Path | str,
    augmented: dict | None = None,
    on_epoch: OnEpoch | None = None,
) -> dict:
    """Trains `params.backbone` on the manifest's train split into `folder`.

    The folder gets the best epoch (see `epoch_score`) as model.safetensors with backbone.json, for
    `load_backbone`; log.csv with a row per epoch; and training.json at the end. Until then last.pt
    holds the latest epoch: after an interruption the same call continues there and ends with the
    same weights. A finished folder is left as it is. With backbone.checkpoint nothing is trained:
    that backbone is copied into the folder.

    Where several processes train together, all must call this or `follow`; the arguments of process
    0 count.

    Args:
        params: the run's parameters. backbone.noise or noise_index assigns wrong captions first.
            backbone.accumulation k makes one optimiser step of k batches; that does not enlarge the
            batch, since the loss compares a pair with its own batch only.
        manifest: see `icl_lib.data`.
        folder: where to train.
        augmented: RDA's texts, per caption_id a list of sub-sentences, each a list of rewritings. A
            caption without RDA's texts is used as its own second text.
        on_epoch: called with the rows of the log after every epoch.

    Returns:
        The content of training.json.

    Raises:
        ValueError: the folder holds another run, the train split has fewer than two captions, or
            the loss is no longer finite.
    """
    return _train(*distributed.from_first((params, manifest, folder, augmented)), on_epoch)


def follow() -> None:
    """Takes part in every training that process 0 starts, until that calls `dismiss`."""
    while (job := distributed.from_first(None)) is not None:
        _train(*job)


def dismiss() -> None:
    """Ends `follow` in all other processes; for process 0."""
    distributed.from_first(None)


def _train(params: Params, manifest, folder, augmented: dict | None, on_epoch=None) -> dict:
    folder = Path(folder)
    run = run_key(params, manifest, augmented)
    if done := distributed.from_first(finished(folder, run) if distributed.rank() == 0 else None):
        return done
    if params.backbone.checkpoint is not None:
        return adopt_checkpoint(params, manifest, folder, run)
    return Training(params, manifest, folder, augmented, run, on_epoch).go()


class Training:
    """The state of one run: model, optimiser, data, log and best epoch."""

    def __init__(
        self,
        params: Params,
        manifest: pd.DataFrame,
        folder: Path,
        augmented: dict | None,
        run: str,
        on_epoch: OnEpoch | None = None,
    ):
        self.settings, self.seed = params.backbone, params.seed
        self.folder, self.run, self.on_epoch = folder, run, on_epoch
        self.rows, self.best, self.next_epoch = [], None, 0
        self.manifest, self.truth = manifest, None  # truth [P]: which pairs are right, if known
        noise = self.settings.noise_index or self.settings.noise
        if noise:
            self.manifest, self.truth = apply_noise(manifest, noise, params.seed)
        pairs = training_pairs(self.manifest)
        check_trainable(len(pairs), self.settings.batch_size)
        self.model = new_backbone(params, pairs["pid"].unique())
        self.model.autocast()  # refuses a precision that this device does not have
        self.objective = Objective(self.settings)
        groups = parameter_groups(self.model, self.settings)
        self.optimiser = torch.optim.Adam(groups, fused=self.model.device.type in ("cpu", "cuda"))
        # fp16 cannot hold small gradients, so the loss is scaled up and the gradients down again.
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.settings.precision == "fp16")
        wanted = self.settings.select_on
        self.select_on = wanted if (manifest["split"] == wanted).any() else None
        self._read_pairs(pairs, augmented)

    def _read_pairs(self, pairs: pd.DataFrame, augmented: dict | None) -> None:
        images = pairs.drop_duplicates("image_id")
        self.images = Images(images["path"].tolist(), self.model.image_size)
        self.image_of = pairs["image_id"].factorize()[0]
        self.pids = torch.from_numpy(pairs["pid"].to_numpy(dtype=np.int64, copy=True))
        self.ids = self.model.tokenise(pairs["caption"].tolist())
        self.views = PairViews(
            self.images,
            self.image_of,
            self.ids.numpy(),
            self.model.tokenizer,
            self.settings,
            self.seed,
            parts=None if augmented is None else [augmented.get(i) for i in pairs["caption_id"]],
            alone=self.settings.rda_texts == "only",
            masked=self.objective.masked,
        )

    def go(self) -> dict:
        """Trains all epochs that are left; the content of training.json."""
        self._resume()
        for epoch in range(self.next_epoch, self.settings.epochs):
            start = time.perf_counter()
            row = {"epoch": epoch, "lr": self.settings.lr * self._factor(epoch)}
            row |= self._epoch(epoch)
            if self.select_on:
                row |= retrieval_metrics(*similarity(self.model, self.manifest, self.select_on))
            row["seconds"] = round(time.perf_counter() - start, 2)
            self.rows.append(row)
            if distributed.rank() == 0:
                self._save_epoch(row)
                if self.on_epoch is not None:
                    self.on_epoch(self.rows)
        return self._finish()

    def _epoch(self, epoch: int) -> dict:
        """Trains one epoch; returns its columns of the log, the mean loss per pair first."""
        clean = torch.from_numpy(self.clean(epoch))
        weight = rda_weight(epoch, self.settings.rda_weight_slope, self.settings.rda_weight_floor)
        loader = self.views.loader(
            epoch, self.settings.batch_size, distributed.share, max(2, distributed.world())
        )
        total, pairs, every = 0.0, 0, self.settings.accumulation
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        label = f"epoch {epoch + 1}/{self.settings.epochs}"
        for step, batch in enumerate(progress(loader, label, len(loader))):
            loss = self._batch_loss(batch, clean[batch["pair"]], weight)
            if not torch.isfinite(loss):
                raise ValueError(
                    f"the loss became {loss.item()} in epoch {epoch}, step {step}: lower "
                    "backbone.lr, or set backbone.precision to fp32. The last whole epoch is kept."
                )
            # Every process holds the whole batch's loss, whose gradients `sum_gradients` adds up.
            self.scaler.scale(loss / distributed.world()).backward()
            if (step + 1) % every == 0 or step + 1 == len(loader):
                self._step(epoch + step // every * every / len(loader))
            total += loss.item()
            pairs += len(batch["pair"])
        return {"loss": total / max(1, distributed.total(pairs))} | self._clean_shares(
            clean.numpy()
        )

    def _step(self, epoch: float) -> None:
        factor = self._factor(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        distributed.sum_gradients(self.model.parameters())
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)

    def _factor(self, epoch: float) -> float:
        own = self.settings
        final = own.final_lr / own.lr if own.lr else 0.0
        return lr_factor(epoch, own.epochs, own.warmup_epochs, own.warmup_factor, final)

    def _batch_loss(self, batch: dict, clean: torch.Tensor, weight: float) -> torch.Tensor:
        """The objective of one batch; `clean` [B] from CCD, `weight` of the second texts."""
        pids = self.pids[batch["pair"]].to(self.model.device)
        with self.model.autocast():
            outputs = self.model(batch | {"pids": pids})
        whole = distributed.gathered((outputs, pids, clean.to(self.model.device).float()))
        return self.objective(*whole, weight)

    def clean(self, epoch: int) -> np.ndarray:
        """Which pairs CCD calls clean, bool [P].

        The losses are those of images and captions without augmentation, each encoded once and
        compared in random batches.
        """
        if not self.settings.ccd:
            return np.ones(len(self.ids), dtype=bool)
        rng = np.random.default_rng((self.seed, epoch, 1))
        mine = distributed.share(range(len(self.images)))
        images = self.model.encode_images(self.images.part(slice(mine.start, mine.stop)))
        texts = self.model.encode_ids(distributed.share(self.ids))
        images = self.model.branches_of(distributed.joined(images))
        texts = self.model.branches_of(distributed.joined(texts))
        losses = {name: np.zeros(len(self.ids)) for name in images}
        batches = math.ceil(len(self.ids) / self.settings.batch_size)
        for pairs in np.array_split(rng.permutation(len(self.ids)), batches):
            for name, values in losses.items():
                sim = torch.from_numpy(texts[name][pairs] @ images[name][self.image_of[pairs]].T)
                values[pairs] = self.objective.per_pair(sim, self.pids[pairs]).numpy()
        return distributed.from_first(divide(losses, rng))

    def _clean_shares(self, clean: np.ndarray) -> dict:
        """Share of pairs called clean; with known noise, also the precision and recall of that."""
        row = {"clean": float(clean.mean())}
        if self.truth is not None:
            right = (clean & self.truth).sum()
            row["clean_precision"] = float(right / max(1, clean.sum()))
            row["clean_recall"] = float(right / max(1, self.truth.sum()))
        return row

    def _save_epoch(self, row: dict) -> None:
        """Writes the model, if it is the best so far, then the log and last.pt.

        In this order last.pt never names a best epoch that was not saved.
        """
        split = self.select_on
        if not (self.best and split) or epoch_score(row, split) > epoch_score(self.best, split):
            self.best = dict(row)
            self.model.save(self.folder)
        write_log(self.folder, self.rows)
        last = {
            "run": self.run,
            "next_epoch": row["epoch"] + 1,
            "rows": self.rows,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        with atomic_path(self.folder / LAST) as temp:
            torch.save(last, temp)

    def _resume(self) -> None:
        """Continues from last.pt, if process 0 has it, and gives all processes the same weights."""
        last = None
        if distributed.rank() == 0 and (self.folder / LAST).is_file():
            last = torch.load(self.folder / LAST, map_location="cpu", weights_only=True)
            check_run(last["run"], self.run, self.folder)
        last = distributed.from_first(last)
        if last is not None:
            self.model.load_state_dict(last["model"])
            self.optimiser.load_state_dict(last["optimiser"])
            self.scaler.load_state_dict(last["scaler"])
            self.next_epoch, self.rows, self.best = last["next_epoch"], last["rows"], last["best"]
        distributed.same_weights(self.model)

    def _finish(self) -> dict:
        done = {
            "run": self.run,
            "selected_on": self.select_on or "last epoch",
            "best": self.best,
            "epochs": self.settings.epochs,
            "pairs": len(self.ids),
            "images": len(self.images),
            "rda": self.views.parts is not None,
            "seconds": round(sum(row["seconds"] for row in self.rows), 2),
        }
        return finish(self.folder, done)
