"""Finds and loads a model's weights and prompts, without downloading."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

from icl_lib.mllm.prompts import Prompts, load_prompts
from icl_lib.results import folder_hash

SMALL_MODEL = Path(__file__).resolve().parents[1] / "small" / "qwen2vl"


def served(params, adapter: bool = False) -> tuple[str, str]:
    """(the name a server knows M by, what tells it from other models in keys).

    The second is the first, unless that is the path of a folder on this machine: then the folder's name and
    content, so that answers outlive a move and meet no other weights. Raises ValueError if `adapter` is asked
    for and `server.served_adapter` names none.
    """
    wanted = (
        params.server.served_adapter if adapter else params.server.served_model or params.mllm.model
    )
    if wanted is None:
        raise ValueError(
            "A server trains no adapter, and server.served_adapter names none that it serves. Train one "
            "with backend local (notebook 02_lora_sft), serve it (vLLM: --enable-lora --lora-modules icl=<the "
            f"folder adapter-… in {params.cache_dir}>; elsewhere a folder made by icl_lib.mllm.local's "
            "save_merged) and set served_adapter to its name there; or to the model's own name, to ask that "
            "one as it is served."
        )
    folder = SMALL_MODEL if wanted == "small" else Path(wanted)
    if (folder / "config.json").is_file():
        return str(
            SMALL_MODEL
        ) if wanted == "small" else wanted, f"{folder.name}@{folder_hash(folder)}"
    return wanted, wanted


def prompts_of(params) -> Prompts:
    """The prompt file that `params.mllm.prompts` names (full, short, or a path)."""
    return load_prompts(params.mllm.prompts, params.repo / "params" / "prompts")


def model_folder(params) -> Path:
    """Where the model's files lie: "small" (shipped), a folder, or a repository in the Hugging Face cache."""
    wanted = params.mllm.model
    if wanted == "small":
        if not (SMALL_MODEL / "config.json").is_file():
            raise FileNotFoundError(
                f"The small Qwen2-VL that ships with the kit is not in {SMALL_MODEL}: this copy "
                "of the kit is incomplete. Clone it again, or make the model anew with notebook "
                "A2_pretrain_small_qwen2vl."
            )
        return SMALL_MODEL
    folder = Path(wanted).expanduser()
    if (folder / "config.json").is_file():
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(wanted, local_files_only=not params.mllm.allow_download))
    except Exception as problem:
        raise FileNotFoundError(
            f"The MLLM {wanted!r} was looked for as a folder with config.json ({folder.resolve()}) and in "
            f"the Hugging Face cache, and is in neither ({type(problem).__name__}). Nothing is downloaded by "
            f"itself: get it with `hf download {wanted}`, or point mllm.model at a folder that holds it, or "
            "set mllm.allow_download=True; mllm.model='small' is the small model that ships with the kit."
        ) from problem


def load_model(params, folder: Path):
    """(model, processor) of a from_pretrained folder, in `params.mllm.dtype`, on the GPU if there is one."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    on_gpu = torch.cuda.is_available()
    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=getattr(torch, params.mllm.dtype),
                attn_implementation="sdpa",
                local_files_only=True,
                device_map="auto" if on_gpu else None,
            )
    except (OSError, ValueError, KeyError) as problem:
        raise ValueError(
            f"{folder} does not load as an image-text-to-text model of transformers: {problem}"
        ) from problem
    if getattr(processor, "chat_template", None) is None:
        raise ValueError(f"{folder} has no chat template; an instruction-tuned model is needed.")
    limit_pixels(processor, params.mllm.max_pixels)
    return model, processor


def limit_pixels(processor, max_pixels: int | None) -> None:
    """Caps a picture's area in pixels (the paper: 50,176), for processors that count so (Qwen's)."""
    images = processor.image_processor
    if max_pixels is None:
        return
    if not hasattr(images, "merge_size"):
        raise ValueError(
            f"mllm.max_pixels is for Qwen's processors; {type(images).__name__} sets its size otherwise: "
            "set max_pixels to null."
        )
    images.size = {
        "shortest_edge": min(images.size["shortest_edge"], max_pixels),
        "longest_edge": max_pixels,
    }


@contextmanager
def quiet():
    """Without transformers' bar over weights and its remarks, which would land in every notebook."""
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
