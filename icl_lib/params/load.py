"""Every setting of a run: data set's YAML + profile's YAML + overrides → one frozen, hashable `Params`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from icl_lib.params.names import _known, _nearest, digest, nearest
from icl_lib.params.paths import available, repo_root, results_root
from icl_lib.params.schema import Backbone, Count, Data, Mllm, Rda, Section, Server, Sft, Thi

# Where things lie, how many go at once, how a gallery is searched by hand (metrics and THI rank exactly): these
# change no result, so they enter no hash.
WITHOUT_EFFECT = {
    "data": {"root"},
    "backbone": {"eval_batch", "index", "index_options"},
    "mllm": {"url", "batch_size", "allow_download"},
    "rda": {"file"},  # its content is hashed where it is read
    "server": set(Server.model_fields) - {"served_model", "served_adapter", "logprobs"},
}
# These enter a hash only where they are set, so that results made before they existed are still found.
WITHOUT_EFFECT_WHEN_NULL = {"data": {"limit_ids"}, "rda": {"drop"}}


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


class Params(Section):
    """All settings of one run; made by `load_params`."""

    dataset: str  # short name: cuhk, icfg, rstp, ufine
    profile: str  # demo or paper
    seed: Count
    data: Data
    backbone: Backbone
    mllm: Mllm
    server: Server
    rda: Rda
    sft: Sft
    thi: Thi

    def key(self, *sections: str) -> dict:
        """What can change a result: data set, profile, seed and `sections` (all if none is named)."""
        known = [
            name for name, field in Params.model_fields.items() if _is_section(field.annotation)
        ]
        for name in sections:
            if name not in known:
                hint = _nearest(name, known) or "."
                raise ValueError(f"unknown section {name!r}{hint} Valid: {', '.join(known)}.")
        if self.mllm.backend != "server":
            known.remove("server")  # it has no say
        chosen = {}
        for name in sections or known:
            section = getattr(self, name)
            off = {
                field
                for field in WITHOUT_EFFECT_WHEN_NULL.get(name, ())
                if getattr(section, field) is None
            }
            chosen[name] = section.model_dump(
                mode="json", exclude=WITHOUT_EFFECT.get(name, set()) | off
            )
        return {"dataset": self.dataset, "profile": self.profile, "seed": self.seed, **chosen}

    def hash(self, *sections: str) -> str:
        """12 hex digits of `key(*sections)`; equal on every machine."""
        return digest(self.key(*sections))

    @property
    def repo(self) -> Path:
        """The kit's folder: $ICL_HOME, else the folder above icl_lib."""
        return repo_root()

    @property
    def results_dir(self) -> Path:
        """results/<profile>/<dataset> in the kit's folder; $ICL_RESULTS replaces `results`.

        With data.limit_ids = 50 it is results/<profile>/<dataset>-50ids, so that a trial run never
        overwrites the results of a complete one.
        """
        limit = self.data.limit_ids
        return (
            results_root()
            / self.profile
            / (f"{self.dataset}-{limit}ids" if limit else self.dataset)
        )

    @property
    def cache_dir(self) -> Path:
        """Weights, vectors, answers: everything that can be made again, kept out of git."""
        return self.results_dir / "cache"

    @property
    def data_root(self) -> Path:
        """The benchmark's folder: data.root, else <data>/<title>; a stand-in's is <data>/standin/<title>-<its sizes>.

        <data> is $ICL_DATA, else `data` in the kit's folder.
        """
        if self.data.root:
            return Path(self.data.root).expanduser().resolve()
        data = Path(os.environ.get("ICL_DATA") or repo_root() / "data").expanduser().resolve()
        if not self.data.standin:
            return data / self.data.title
        sizes = f"{self.data.ids_train}-{self.data.ids_val}-{self.data.ids_test}x{self.data.images_per_id}"
        return data / "standin" / f"{self.data.title}-{sizes}"


def load_params(dataset: str = "rstp", profile: str = "demo", **overrides: Any) -> Params:
    """Data set's YAML, then the profile's, then `overrides`, as one frozen, validated `Params`.

    An override is named by its field where that is unique (`K=3`, `lam=.7`), else with its section
    (`backbone__epochs=2`, `**{"sft.epochs": 1}`) or as a section (`thi={"K": 3}`). None leaves the default;
    "auto" sets a field that may be null to null. Raises ValueError, with the nearest valid name, for an
    unknown data set, profile or field, and for a value of the wrong type or range.
    """
    dataset = _known("dataset", dataset, available("datasets"))
    profile = _known("profile", profile, available("profiles"))
    tree: dict = {"dataset": dataset, "profile": profile, "seed": 0}
    chosen = _read(repo_root() / "params" / "profiles" / f"{profile}.yaml")
    own = chosen.pop("datasets", {}).get(dataset, {})
    for layer in (_read(repo_root() / "params" / "datasets" / f"{dataset}.yaml"), chosen, own):
        _merge(tree, layer)
    for path, value in _resolve(overrides):
        if value is not None:
            _merge(tree, _nest(path, None if value == "auto" and _nullable(path) else value))
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise ValueError(_explain(error, dataset, profile)) from None


def unique_fields() -> set[str]:
    """Names that `load_params` takes without a section: "K", but not "epochs", which two sections have."""
    names = [leaf[-1] for leaf in _leaves()]
    return {name for name in names if names.count(name) == 1}


def _leaves(
    model: type[Section] = Params, prefix: tuple[str, ...] = ()
) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            found |= _leaves(field.annotation, (*prefix, name))
        else:
            found[(*prefix, name)] = field.annotation
    return found


def _nullable(path: tuple[str, ...]) -> bool:
    return type(None) in getattr(_leaves()[path], "__args__", ())


def _resolve(overrides: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    leaves, pairs = _leaves(), []
    for name, value in overrides.items():
        path = tuple(name.replace("__", ".").split("."))
        if isinstance(value, Mapping) and any(leaf[: len(path)] == path != leaf for leaf in leaves):
            pairs += _resolve({f"{name}.{inner}": v for inner, v in value.items()})
            continue
        fits = [path] if path in leaves else [leaf for leaf in leaves if leaf[-len(path) :] == path]
        if len(fits) > 1:
            spelled = " or ".join("__".join(leaf) for leaf in fits)
            raise ValueError(f"parameter {name!r} is ambiguous: say {spelled}.")
        if any(leaf[: len(path)] == path for leaf in leaves) and not fits:
            raise ValueError(
                f"{name!r} is a section: give its fields, as in {name}={{...}}, not {value!r}."
            )
        if not fits:
            names = ["__".join(leaf) for leaf in leaves]
            close = nearest(name, [leaf[-1] for leaf in leaves] if len(path) == 1 else names)
            full = [n for n in names if close and (n == close or n.endswith("__" + close))]
            hint = f": did you mean {close!r} ({', '.join(full)})?" if full else "."
            raise ValueError(
                f"unknown parameter {name!r}{hint} params/profiles/demo.yaml lists them all."
            )
        pairs.append((fits[0], value))
    return pairs


def _nest(path: tuple[str, ...], value: Any) -> dict:
    for name in reversed(path):
        value = {name: value}
    return value


def _merge(tree: dict, layer: Mapping) -> None:
    for name, value in layer.items():
        if isinstance(value, Mapping) and isinstance(tree.get(name), dict):
            _merge(tree[name], value)
        else:
            tree[name] = dict(value) if isinstance(value, Mapping) else value


def _read(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable as YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} should hold sections (data:, …) but holds {type(content).__name__}."
        )
    return content


def _explain(error: ValidationError, dataset: str, profile: str) -> str:
    lines = []
    for part in error.errors():
        name = ".".join(map(str, part["loc"])) or "parameters"
        if part["type"] == "extra_forbidden":
            names = [".".join(leaf) for leaf in _leaves()]
            lines.append(f"{name}: unknown parameter{_nearest(name, names)}")
        elif part["type"] == "missing":
            lines.append(f"{name}: missing from the YAML files")
        else:
            hint = ""
            if part["type"] == "literal_error":
                hint = _nearest(part["input"], re.findall(r"'([^']*)'", part["ctx"]["expected"]))
            message = part["msg"].removeprefix("Value error, ")
            given = "" if isinstance(part["input"], dict) else f" = {part['input']!r}"
            lines.append(f"{name}{given}: {message}{hint}")
    return f"parameters for dataset {dataset}, profile {profile} don't hold:\n  " + "\n  ".join(
        lines
    )
