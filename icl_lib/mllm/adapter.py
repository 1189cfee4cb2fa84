"""Puts a LoRA adapter into a model and checks, tensor by tensor, that all of it was applied."""

import logging
import re
import warnings
from collections import Counter
from pathlib import Path

from peft import PeftConfig, PeftModel, get_peft_model_state_dict, load_peft_weights
from peft.tuners.tuners_utils import check_target_module_exists

from icl_lib.mllm.weights import listed, load_model, model_folder, quiet

PREFIX = "base_model.model."  # what peft puts before the name of every tensor
RENAMED = ("qwen2_vl", "qwen2_5_vl")  # classes whose parts got new names in transformers 4.52


def load_adapter(model, folder: str | Path) -> PeftModel:
    """The model with the peft adapter in `folder` inside, every tensor of it applied.

    Adapters of Qwen2-VL and Qwen2.5-VL that were saved before transformers 4.52 are understood too:
    their old names are translated (`current_name`). peft itself would skip such tensors and only
    warn, so that the bare model would answer.

    Raises:
        FileNotFoundError: the folder holds no adapter.
        ValueError: its files are damaged, or a tensor of the adapter has no place in the model or
            another shape, or a place that the adapter's config names gets no tensor, or two.
    """
    folder = Path(folder)
    with quiet():
        config, saved = _read(folder)
    names = {name: _translated(name, model) for name in saved}
    changed = {old: new for old, new in names.items() if old != new}
    try:
        with quiet(), warnings.catch_warnings():
            # Such an adapter is refused below, by name.
            warnings.filterwarnings("ignore", "Found missing adapter keys")
            if changed:
                _translate_targets(config, model)
            # peft takes the prefix off a name before it looks the name up here.
            mapping = {
                f"^{re.escape(old.removeprefix(PREFIX))}$": new.removeprefix(PREFIX)
                for old, new in changed.items()
            }
            adapted = PeftModel.from_pretrained(
                model, str(folder), config=config, key_mapping=mapping
            )
    except (ValueError, RuntimeError, KeyError) as problem:
        told = f"there is no {problem}" if isinstance(problem, KeyError) else str(problem)[:1000]
        raise ValueError(f"The adapter {folder} does not fit this model: {told}") from problem
    _check_all_applied(adapted, names, folder)
    note = adapter_note(adapted) + ("; its old tensor names were translated" if changed else "")
    level = logging.WARNING if changed else logging.INFO
    logging.getLogger(__name__).log(level, "The adapter %s: %s.", folder, note)
    return adapted


def adapter_note(adapted: PeftModel) -> str:
    """How many tensors of an adapter are applied, and to how many layers, as text."""
    names = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    layers = {name.partition(".lora_")[0] for name in names}
    return f"{len(names)} tensors applied to {len(layers)} layers"


def current_name(name: str) -> str:
    """Today's name of a part of Qwen2-VL or Qwen2.5-VL; a name of today stays as it is.

    transformers 4.52 made `model.layers…` into `model.language_model.layers…` (`embed_tokens` and
    `norm` likewise), and `visual…` into `model.visual…`.
    """
    name = re.sub(r"^model\.(?=(layers|embed_tokens|norm)\b)", "model.language_model.", name)
    return re.sub(r"^visual\.", "model.visual.", name)


def former_name(name: str) -> str:
    """The name that a part of Qwen2-VL or Qwen2.5-VL had before transformers 4.52."""
    return re.sub(r"^model\.(?=visual\.)", "", re.sub(r"^model\.language_model\.", "model.", name))


def save_merged(params, adapter: str | Path, folder: str | Path) -> Path:
    """Writes the params' model with `adapter` merged into its weights to `folder`.

    For servers that serve models only and no adapters, such as `transformers serve`.

    Returns:
        The absolute path of the folder.
    """
    model, processor = load_model(params, model_folder(params))
    merged = load_adapter(model, adapter).merge_and_unload()
    with quiet():
        merged.save_pretrained(folder)
        processor.save_pretrained(folder)
    return Path(folder).resolve()


def _read(folder: Path) -> tuple[PeftConfig, list[str]]:
    """The config of an adapter and the names of its tensors."""
    if not (folder / "adapter_config.json").is_file() or not list(folder.glob("adapter_model.*")):
        raise FileNotFoundError(
            f"{folder} holds no adapter (no adapter_config.json with adapter_model.safetensors). "
            "Train one with notebook 02_lora_sft, or give the folder that peft's save_pretrained "
            "wrote."
        )
    try:
        config = PeftConfig.from_pretrained(str(folder))
        return config, list(load_peft_weights(str(folder), device="cpu"))
    except Exception as problem:  # damaged files make peft raise nearly anything
        told = f"{type(problem).__name__}: {str(problem)[:200]}"
        raise ValueError(
            f"The adapter {folder} is not readable ({told}). Copy it again, or train it anew with "
            "notebook 02_lora_sft."
        ) from problem


def _check_all_applied(adapted: PeftModel, names: dict[str, str], folder: Path) -> None:
    """Raises ValueError unless the tensors (saved name: today's name) fill exactly the places."""
    places = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    known = places | set(adapted.state_dict())
    faults = listed(
        {
            f"of its {len(names)} tensors have no place in the model": [
                old for old, new in names.items() if new not in known
            ],
            "places in the model get no tensor": places - set(names.values()),
            "places in the model get more than one tensor": [
                new for new, count in Counter(names.values()).items() if count > 1
            ],
        }
    )
    if faults:
        source = adapted.active_peft_config.base_model_name_or_path
        raise ValueError(
            f"The adapter {folder} does not fit this model: {faults}. It was trained for "
            f"{source or 'another model'}: set mllm.model to that model, "
            "or train an adapter for this one with notebook 02_lora_sft."
        )


def _translated(name: str, model) -> str:
    """The name under which peft saves this tensor today: without the adapter's own name."""
    name = re.sub(r"(\.lora_[AB])\.\w+\.weight$", r"\1.weight", name)
    if model.config.model_type not in RENAMED or not name.startswith(PREFIX):
        return name
    return PREFIX + current_name(name.removeprefix(PREFIX))


def _translate_targets(config: PeftConfig, model) -> None:
    """Makes the config of an adapter with old names refer to today's modules.

    Its pattern of target modules was written for the old names, so it is matched against them.
    """
    if model.config.model_type not in RENAMED:
        return
    modules = [name for name, _ in model.named_modules()]
    chosen = {name for name in modules if check_target_module_exists(config, former_name(name))}
    config.target_modules = chosen or config.target_modules
    for pattern in (config.rank_pattern, config.alpha_pattern):
        renamed = {current_name(name): value for name, value in pattern.items()}
        pattern.clear()
        pattern.update(renamed)
