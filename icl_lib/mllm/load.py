"""Finds the model that the params name, without downloading, and makes it an MLLM with a memory."""

from __future__ import annotations

from pathlib import Path

from icl_lib.mllm.base import MLLM
from icl_lib.mllm.memory import Memory
from icl_lib.mllm.weights import load_model, model_folder, prompts_of, served
from icl_lib.results import folder_hash


def load_mllm(params, adapter: str | Path | None = None) -> MLLM:
    """M of `params.mllm`, its answers kept in <cache_dir>/answers.sqlite.

    `adapter` is a peft folder, used by `p_yes` alone; with `mllm.backend: server` its place is taken by the
    model name `server.served_adapter`, and the server is first spoken to when it is first asked. Raises
    FileNotFoundError that says what was looked for and how to get it: nothing is downloaded unless
    `params.mllm.allow_download`.
    """
    if params.mllm.backend == "server":
        return Memory(_on_server(params, adapter is not None), params.cache_dir / "answers.sqlite")
    folder = model_folder(params)
    model, processor = load_model(params, folder)
    size = f"{params.mllm.max_pixels or 'own'} pixels"
    name = f"{Path(params.mllm.model).name}@{folder_hash(folder)} {params.mllm.dtype} {size}"
    return remembered(params, model, processor, name, adapter)


def remembered(params, model, processor, name: str, adapter: str | Path | None = None) -> Memory:
    """A loaded model as the MLLM `name`, with the prompts and limits of `params` and its answers kept on disk."""
    from icl_lib.mllm.local import LocalMLLM

    mllm = LocalMLLM(
        model,
        processor,
        prompts_of(params),
        name=name,
        batch_size=params.mllm.batch_size,
        max_new_tokens=params.mllm.max_new_tokens,
        adapter=adapter,
    )
    return Memory(mllm, params.cache_dir / "answers.sqlite")


def _on_server(params, adapted: bool) -> MLLM:
    from icl_lib.mllm.server import ServerMLLM

    model, writer = served(params)
    asker, asking = served(params, adapter=True) if adapted else (model, writer)
    size = f"{params.mllm.max_pixels or 'own'} pixels"
    return ServerMLLM(
        params.mllm.url,
        prompts_of(params),
        params.server,
        model,
        name=f"{asking} served {size}" + ("" if params.server.logprobs else " by word"),
        writer_name=f"{writer} served {size}",
        asker=asker,
        max_pixels=params.mllm.max_pixels,
        max_new_tokens=params.mllm.max_new_tokens,
    )


def writer_with_adapter(params, folder):
    """The MLLM of `params`, with a memory, that also writes with the adapter in `folder`."""
    from icl_lib.mllm.load import remembered
    from icl_lib.mllm.local import load_adapter
    from icl_lib.mllm.weights import load_model, model_folder
    from icl_lib.results import folder_hash

    base = model_folder(params)
    model, processor = load_model(params, base)
    model = load_adapter(model, folder).merge_and_unload()
    weights = f"{folder_hash(base)}+{folder_hash(Path(folder))}, adapted in every answer"
    name = f"{weights} {params.mllm.dtype} {params.mllm.max_pixels} pixels"
    return remembered(params, model, processor, name)
