"""Loads a trained backbone, or creates a new one to train."""

from collections.abc import Sequence
from pathlib import Path

import torch

from icl_lib.results import read_json
from icl_lib.retrieval.backbone import DESCRIPTION, Backbone
from icl_lib.retrieval.checkpoints import kit_names, load_state, looks_like, method_of, read_tensors
from icl_lib.retrieval.irra import IRRA
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.weights import MERGES, WEIGHTS, Clip, build_clip, empty_clip, load_clip


def load_backbone(params, source: Path | str | None = None) -> Backbone:
    """A backbone in evaluation mode, on the GPU if there is one.

    Args:
        params: the run's parameters.
        source: a folder that this kit has trained, or the file of a published checkpoint of the
            method backbone.method. By default backbone.checkpoint; if that is null too, the
            pre-trained CLIP without fine-tuning.

    Raises:
        FileNotFoundError: there is nothing at `source`.
        ValueError: the tensors do not fit the model.
    """
    source = params.backbone.checkpoint if source is None else source
    if source is None:
        return _assemble({"method": "clip"}, load_clip(params), (), params).eval()
    source = Path(source).expanduser()
    load = _load_file if source.is_file() else _load_folder
    return load(params, source).eval()


def new_backbone(params, identities: Sequence[int] = ()) -> Backbone:
    """The backbone of `params.backbone`, ready to train: pre-trained CLIP with random heads.

    Args:
        params: the run's parameters; the heads are drawn with params.seed.
        identities: the train split's identities, which IRRA classifies.
    """
    torch.manual_seed(params.seed)
    layers = params.backbone.irra.cross_layers
    model = _assemble(_described(params, layers), load_clip(params), identities, params)
    if params.backbone.method == "rde":
        model.frozen_batchnorm = params.backbone.as_released.frozen_batchnorm
    return model


def _load_folder(params, folder: Path) -> Backbone:
    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"no trained backbone in {folder}: it should hold {DESCRIPTION} and {WEIGHTS}. Train "
            "one with notebook 03_backbone, or give the folder of one, or a published checkpoint."
        )
    about = read_json(folder / DESCRIPTION)
    merges = (folder / MERGES).read_bytes() if (folder / MERGES).is_file() else None
    identities = range(about.get("identities", 0))
    model = _assemble(about, build_clip(about["clip"], merges), identities, params)
    load_state(model, read_tensors(folder / WEIGHTS), folder / WEIGHTS)
    return model


def _load_file(params, path: Path) -> Backbone:
    """A published checkpoint with its own names; method and sizes must be those of `params`."""
    tensors = read_tensors(path)
    state, wanted = kit_names(tensors), params.backbone.method
    found = method_of(state)
    if found != wanted:
        hint = f" Set backbone.method to {found!r}." if found else ""
        raise ValueError(
            f"{path} is no checkpoint of {wanted!r} (backbone.method): it looks like "
            f"{looks_like(tensors)}.{hint}"
        )
    blocks = "cross_modal_transformer.resblocks."
    layers = {name.removeprefix(blocks).split(".")[0] for name in state if name.startswith(blocks)}
    # The file does not say which identities its classifier knows, only how many.
    identities = range(len(state.get("classifier.weight", [0])))
    model = _assemble(_described(params, len(layers)), empty_clip(params), identities, params)
    load_state(model, state, path)
    return model


def _described(params, cross_layers: int) -> dict:
    """What a backbone.json of `params.backbone` says about the heads."""
    wanted = params.backbone
    return {
        "method": wanted.method,
        "embed_tse": wanted.embed_tse,
        "select_ratio": wanted.select_ratio,
        "cross_layers": cross_layers,
    }


def _assemble(about: dict, clip: Clip, identities: Sequence[int], params) -> Backbone:
    """The model that `about` (a backbone.json) describes, on the GPU if there is one."""
    shared = {"precision": params.backbone.precision, "eval_batch": params.backbone.eval_batch}
    if about["method"] == "rde":
        model = RDE(clip, about["embed_tse"], about["select_ratio"], **shared)
    elif about["method"] == "irra":
        model = IRRA(clip, identities, about["cross_layers"], **shared)
    else:
        model = Backbone(clip, **shared)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")
