"""Loads a backbone from a trained folder, a checkpoint file, or CLIP weights."""

from collections.abc import Sequence
from pathlib import Path

import torch

from icl_lib.retrieval.backbone import DESCRIPTION, Backbone
from icl_lib.retrieval.checkpoints import kit_names, load_state, looks_like, method_of, read_tensors
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.weights import MERGES, WEIGHTS, Clip, build_clip, empty_clip, load_clip


def load_backbone(params, source: Path | str | None = None) -> Backbone:
    """The trained backbone in `source`, a folder of this kit's or a published checkpoint of `params`' method.

    Without one: backbone.checkpoint, else the pre-trained CLIP of `params`, not fine-tuned. On a GPU if there
    is one. Raises FileNotFoundError if nothing is there, ValueError if the tensors do not fit.
    """
    source = params.backbone.checkpoint if source is None else source
    if source is None:
        return _placed(Backbone(load_clip(params), **_shared(params)))
    source = Path(source).expanduser()
    return _placed((_load_file if source.is_file() else _load_folder)(params, source).eval())


def new_backbone(params, identities: Sequence[int] = ()) -> Backbone:
    """The backbone that `params.backbone` describes, ready to be trained: pre-trained CLIP, fresh heads.

    IRRA needs the train split's `identities`.
    """
    wanted = params.backbone
    torch.manual_seed(params.seed)
    about = {
        "method": wanted.method,
        "embed_tse": wanted.embed_tse,
        "select_ratio": wanted.select_ratio,
        "cross_layers": wanted.irra.cross_layers,
    }
    model = _assemble(about, load_clip(params), identities, params)
    if wanted.method == "rde":
        model.frozen_batchnorm = wanted.as_released.frozen_batchnorm
    return _placed(model)


def _load_folder(params, folder: Path) -> Backbone:
    from icl_lib.results import read_json

    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"no trained backbone in {folder}: it should hold {DESCRIPTION} and "
            f"{WEIGHTS}. Train one with notebook 03_backbone, or give the folder of one, "
            "or a published checkpoint's file."
        )
    about = read_json(folder / DESCRIPTION)
    merges = (folder / MERGES).read_bytes() if (folder / MERGES).is_file() else None
    model = _assemble(
        about, build_clip(about["clip"], merges), range(about.get("identities", 0)), params
    )
    load_state(model, read_tensors(folder / WEIGHTS), folder / WEIGHTS)
    return model


def _load_file(params, path: Path) -> Backbone:
    """A published checkpoint, by its own names; its method and sizes must be those of `params`."""
    tensors = read_tensors(path)
    found, wanted = method_of(tensors), params.backbone.method
    if found != wanted:
        hint = f" Set backbone.method to {found!r}." if found else ""
        raise ValueError(
            f"{path} is no checkpoint of {wanted!r} (backbone.method): it looks like "
            f"{looks_like(tensors)}.{hint}"
        )
    names = kit_names(tensors)
    state = {name: tensors[old].float() for name, old in names.items()}
    if wanted == "irra":
        classes = len(state.get("classifier.weight", [0]))
        state["identities"] = torch.arange(classes)  # which ones the file does not tell
    layers = {
        name.split(".")[2]
        for name in state
        if name.startswith("cross_modal_transformer.resblocks.")
    }
    about = {
        "method": wanted,
        "embed_tse": params.backbone.embed_tse,
        "cross_layers": len(layers),
        "select_ratio": params.backbone.select_ratio,
    }
    model = _assemble(about, empty_clip(params), state.get("identities", ()), params)
    load_state(model, state, path, names, tensors)
    return model


def _assemble(about: dict, clip: Clip, identities: Sequence[int], params) -> Backbone:
    """The model that `about` (a backbone.json) describes, around `clip`."""
    shared = _shared(params)
    if about["method"] == "rde":
        return RDE(clip, about["embed_tse"], about["select_ratio"], **shared)
    if about["method"] == "irra":
        from icl_lib.retrieval.irra import IRRA  # which is built on this module

        return IRRA(clip, identities, about["cross_layers"], **shared)
    return Backbone(clip, **shared)


def _shared(params) -> dict:
    return {"precision": params.backbone.precision, "eval_batch": params.backbone.eval_batch}


def _placed(model: Backbone) -> Backbone:
    return model.to("cuda" if torch.cuda.is_available() else "cpu")
