"""Makes the MLLM that the params name, with a memory of its answers."""

from pathlib import Path

from icl_lib.mllm.base import MLLM
from icl_lib.mllm.calibration import Calibration
from icl_lib.mllm.memory import Memory
from icl_lib.mllm.weights import load_model, model_folder, prompts_of, served
from icl_lib.results import folder_hash, read_json

ANSWERING = "threshold.json"  # the threshold on P(Yes), and the two numbers of its calibration


def load_mllm(
    params, adapter: str | Path | None = None, answering: str | Path | None = None
) -> Memory:
    """The MLLM of `params.mllm`, which keeps its answers in <cache_dir>/answers.sqlite.

    With `mllm.backend: server` the server is first spoken to when the first question is asked.

    Args:
        params: the settings of the run.
        adapter: a peft folder that `p_yes` answers with; `write` never uses it. On a server the
            model `server.served_adapter` answers in its place.
        answering: a folder with threshold.json, whose calibration P(Yes) gets; by default the
            adapter's own. Without one P(Yes) stays as the MLLM says it.

    Raises:
        FileNotFoundError: the model is not on this machine; the message says how to get it. Nothing
            is downloaded unless `params.mllm.allow_download`.
        ValueError: the model or the adapter does not load, or the adapter does not fit the model.
    """
    answering = answering or adapter
    if params.mllm.backend == "server":
        return _remembered(params, _on_server(params, adapter is not None), answering)
    folder = model_folder(params)
    model, processor = load_model(params, folder)
    name = (
        f"{Path(params.mllm.model).name}@{folder_hash(folder)} {params.mllm.dtype} {_size(params)}"
    )
    return _remembered(params, _local(params, model, processor, name, adapter), answering)


def writer_with_adapter(params, folder: str | Path) -> MLLM:
    """The MLLM of `params` that also writes with the adapter in `folder`, to see what that does."""
    from icl_lib.mllm.adapter import load_adapter

    base = model_folder(params)
    model, processor = load_model(params, base)
    weights = f"{folder_hash(base)}+{folder_hash(Path(folder))}, adapted in every answer"
    name = f"{weights} {params.mllm.dtype} {_size(params)}"
    merged = load_adapter(model, folder).merge_and_unload()
    return _remembered(params, _local(params, merged, processor, name))


def _remembered(params, mllm: MLLM, answering: str | Path | None = None) -> Memory:
    return Memory(mllm, params.cache_dir / "answers.sqlite", load_calibration(answering))


def load_calibration(folder: str | Path | None) -> Calibration:
    """The calibration that threshold.json in `folder` holds; without one, P(Yes) as it is."""
    file = Path(folder) / ANSWERING if folder else None
    told = read_json(file) if file and file.is_file() else {}
    return Calibration(told.get("slope", 1.0), told.get("offset", 0.0))


def _local(params, model, processor, name: str, adapter: str | Path | None = None) -> MLLM:
    from icl_lib.mllm.local import LocalMLLM

    return LocalMLLM(
        model,
        processor,
        prompts_of(params),
        name=name,
        batch_size=params.mllm.batch_size,
        max_new_tokens=params.mllm.max_new_tokens,
        adapter=adapter,
    )


def _on_server(params, adapted: bool) -> MLLM:
    from icl_lib.mllm.server import ServerMLLM

    model, writer = served(params)
    asker, asking = served(params, adapter=True) if adapted else (model, writer)
    by_word = "" if params.server.logprobs else " by word"
    return ServerMLLM(
        params.mllm.url,
        prompts_of(params),
        params.server,
        model,
        name=f"{asking} served {_size(params)}{by_word}",
        writer_name=f"{writer} served {_size(params)}",
        asker=asker,
        max_pixels=params.mllm.max_pixels,
        max_new_tokens=params.mllm.max_new_tokens,
    )


def _size(params) -> str:
    return f"{params.mllm.max_pixels or 'own'} pixels"
