"""Finds and loads the model and the prompts that the params name, without downloading."""

import warnings
from collections.abc import Collection
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from icl_lib.mllm.prompts import Prompts, load_prompts
from icl_lib.results import folder_hash

SMALL_MODEL = Path(__file__).resolve().parents[1] / "small" / "qwen2vl"


def prompts_of(params) -> Prompts:
    """The prompt file that `params.mllm.prompts` names (full, short, or a path)."""
    return load_prompts(params.mllm.prompts, params.repo / "params" / "prompts")


def model_folder(params) -> Path:
    """The folder of the model that `params.mllm.model` names.

    The name is "small" (the model that ships with the kit), a folder, or a repository that is
    looked for in the Hugging Face cache.

    Raises:
        FileNotFoundError: the model is in none of these places; the message says how to get it.
    """
    wanted = params.mllm.model
    if wanted == "small":
        if not (SMALL_MODEL / "config.json").is_file():
            raise FileNotFoundError(
                f"The small Qwen2-VL that ships with the kit is not in {SMALL_MODEL}: this copy of "
                "the kit is incomplete. Clone the kit again, or train the model anew with "
                "notebook A2_pretrain_small_qwen2vl."
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
            f"The MLLM {wanted!r} is neither a folder with config.json ({folder.resolve()}) nor in "
            f"the Hugging Face cache ({type(problem).__name__}). Nothing is downloaded by itself: "
            f"get it with `hf download {wanted}`, or point mllm.model at a folder that holds it, "
            "or set mllm.allow_download=True. mllm.model='small' is the small model that ships "
            "with the kit."
        ) from problem


def served(params, adapter: bool = False) -> tuple[str, str]:
    """The model's (or adapted model's) name on the server, and its name in cache keys.

    Both are equal, unless the server's name is the path of a folder on this machine: the key is
    then the folder's name and content, so that answers survive a move and never mix with other
    weights.

    Raises:
        ValueError: `adapter` is asked for and server.served_adapter is not set.
    """
    model = params.server.served_model or params.mllm.model
    wanted = params.server.served_adapter if adapter else model
    if wanted is None:
        raise ValueError(
            "A server trains no adapter, and server.served_adapter names none that it serves. "
            "Train one with backend local (notebook 02_lora_sft), serve it (vLLM: --enable-lora "
            f"--lora-modules icl=<the folder adapter-… in {params.cache_dir}>; elsewhere a folder "
            "made by icl_lib.mllm.adapter.save_merged) and set server.served_adapter to its name "
            "there. To ask the bare model instead, set server.served_adapter to the model's own "
            "name."
        )
    folder = SMALL_MODEL if wanted == "small" else Path(wanted)
    if (folder / "config.json").is_file():
        key = f"{folder.name}@{folder_hash(folder)}"
        return str(SMALL_MODEL) if wanted == "small" else wanted, key
    return wanted, wanted


def load_model(params, folder: Path):
    """The model and the processor of a from_pretrained folder.

    The model has the precision `params.mllm.dtype` and lies on the GPU if there is one. Checkpoints
    with the tensor names of earlier transformers versions load too; transformers translates them.

    Raises:
        ValueError: the folder holds no image-text-to-text model with a chat template, or its
            tensors are not exactly those of the model.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    if (folder / "adapter_config.json").exists():  # transformers would apply it, names unchecked
        raise ValueError(
            f"{folder} holds an adapter (adapter_config.json), which would change the model's "
            "answers unseen. Point mllm.model at a folder of the model alone, and move the adapter "
            "to a folder of its own."
        )
    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, loading = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=getattr(torch, params.mllm.dtype),
                attn_implementation="sdpa",
                local_files_only=True,
                device_map="auto" if torch.cuda.is_available() else None,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as problem:
        raise ValueError(
            f"{folder} does not load as an image-text-to-text model of transformers: {problem}"
        ) from problem
    faults = listed(
        {
            "tensors are missing": loading["missing_keys"],
            "tensors belong to no part of the model": loading["unexpected_keys"],
            "tensors have another shape": [name for name, *_ in loading["mismatched_keys"]],
        }
    )
    if faults:
        raise ValueError(
            f"The weights in {folder} do not fit {type(model).__name__}: {faults}. The files are "
            "incomplete or were written for another model: download or merge them again."
        )
    if getattr(processor, "chat_template", None) is None:
        raise ValueError(f"{folder} has no chat template; an instruction-tuned model is needed.")
    limit_pixels(processor, params.mllm.max_pixels)
    return model, processor


def listed(faults: dict[str, Collection[str]], shown: int = 3) -> str:
    """Each kind of fault, with its number of names and the first of them."""
    return "; ".join(
        f"{len(names)} {fault} ({', '.join(sorted(names)[:shown])}{' …' * (len(names) > shown)})"
        for fault, names in faults.items()
        if names
    )


def limit_pixels(processor, max_pixels: int | None) -> None:
    """Caps the area of a picture in pixels (the paper: 50,176); for Qwen's processors only."""
    if max_pixels is None:
        return
    images = processor.image_processor
    if not hasattr(images, "merge_size"):
        raise ValueError(
            "mllm.max_pixels works with Qwen's processors only, and this is "
            f"{type(images).__name__}: set mllm.max_pixels to null."
        )
    smallest = min(images.size["shortest_edge"], max_pixels)
    images.size = {"shortest_edge": smallest, "longest_edge": max_pixels}


@contextmanager
def quiet():
    """Hides transformers' loading bar and remarks, which would appear in every notebook."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    verbosity = logging.get_verbosity()
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
