"""All settings of a run: the data set's YAML, the profile's YAML and overrides as one `Params`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from icl_lib.params.names import did_you_mean, digest, known, nearest
from icl_lib.params.paths import available, default_data_root, repo_root, results_root
from icl_lib.params.schema import Backbone, Count, Data, Mllm, Rda, Section, Server, Sft, Thi

# Settings that change no result, so that they enter no hash: places, batch sizes of inference, and
# the index of galleries searched by hand (metrics and THI always rank exactly).
WITHOUT_EFFECT = {
    "data": {"root"},
    "backbone": {"eval_batch", "index", "index_options"},
    "mllm": {"url", "batch_size", "allow_download"},
    "rda": {"file"},  # the file's content is hashed where it is read
    "server": set(Server.model_fields) - {"served_model", "served_adapter", "logprobs"},
}
# These enter a hash only where they are set, so that results made without them are still found.
WITHOUT_EFFECT_WHEN_NULL = {"data": {"limit_ids"}, "rda": {"drop"}}


class Params(Section):
    """All settings of one run; `load_params` makes it."""

    dataset: str  # short name: cuhk, icfg, rstp or ufine
    profile: str  # demo, paper, or a profile of your own in params/profiles
    seed: Count
    data: Data
    backbone: Backbone
    mllm: Mllm
    server: Server
    rda: Rda
    sft: Sft
    thi: Thi

    def key(self, *sections: str) -> dict:
        """All that can change a result: data set, profile, seed and sections (by default all)."""
        names = [name for name in Params.model_fields if isinstance(getattr(self, name), Section)]
        for name in sections:
            known("section", name, names)
        if self.mllm.backend != "server":
            names.remove("server")  # it has no effect
        chosen = {}
        for name in sections or names:
            section = getattr(self, name)
            unset = {
                field
                for field in WITHOUT_EFFECT_WHEN_NULL.get(name, ())
                if getattr(section, field) is None
            }
            left_out = WITHOUT_EFFECT.get(name, set()) | unset
            chosen[name] = section.model_dump(mode="json", exclude=left_out)
        return {"dataset": self.dataset, "profile": self.profile, "seed": self.seed, **chosen}

    def changed(self, section: str, **fields: Any) -> "Params":
        """The same settings with other values, which are not validated, in one section."""
        return self.model_copy(update={section: getattr(self, section).model_copy(update=fields)})

    def hash(self, *sections: str) -> str:
        """12 hex digits of `key(*sections)`; the same on every machine."""
        return digest(self.key(*sections))

    @property
    def repo(self) -> Path:
        """The kit's folder: $ICL_HOME, or else the folder above icl_lib."""
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
        """The folder of weights, vectors and answers, which can be made again; git ignores it."""
        return self.results_dir / "cache"

    @property
    def data_root(self) -> Path:
        """The benchmark's folder: data.root, or else <data>/<title>.

        A stand-in is in <data>/standin/<title>-<its sizes>. <data> is $ICL_DATA, or else data/ in
        the kit's folder.
        """
        given = self.data
        if given.root:
            return Path(given.root).expanduser().resolve()
        if not given.standin:
            return default_data_root() / given.title
        sizes = f"{given.ids_train}-{given.ids_val}-{given.ids_test}x{given.images_per_id}"
        return default_data_root() / "standin" / f"{given.title}-{sizes}"


def load_params(dataset: str = "rstp", profile: str = "demo", **overrides: Any) -> Params:
    """The settings of the data set's YAML, the profile's YAML and `overrides`; later ones win.

    Args:
        dataset: cuhk, icfg, rstp or ufine.
        profile: demo, paper, or the name of a file of your own in params/profiles.
        overrides: a setting is named by its field where only one section has it (`K=3`, `lam=0.7`),
            or else with its section (`backbone__epochs=2`, `**{"sft.epochs": 1}`), or as part of a
            section (`thi={"K": 3}`). None keeps the YAML's value; "auto" sets a field that may be
            null to null.

    Raises:
        ValueError: an unknown data set, profile or field (the message names the nearest valid one),
            or a value of the wrong type or outside its range.
    """
    known("dataset", dataset, available("datasets"))
    known("profile", profile, available("profiles"))
    tree: dict = {"dataset": dataset, "profile": profile, "seed": 0}
    of_profile = _read(repo_root() / "params" / "profiles" / f"{profile}.yaml")
    of_both = of_profile.pop("datasets", {}).get(dataset, {})
    of_dataset = _read(repo_root() / "params" / "datasets" / f"{dataset}.yaml")
    for layer in (of_dataset, of_profile, of_both, _resolved(overrides)):
        _merge(tree, layer)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise ValueError(_explained(error, dataset, profile)) from None


def unique_fields() -> set[str]:
    """Fields that need no section: "K" does not, but "epochs" does, since two sections have it."""
    names = [field.rpartition(".")[2] for field in _fields()]
    return {name for name in names if names.count(name) == 1}


def _fields(model: type[Section] = Params, prefix: str = "") -> dict[str, Any]:
    """The type of every setting, by its name with dots: {"thi.K": type}."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found |= _fields(field.annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.annotation
    return found


def _resolved(overrides: Mapping[str, Any]) -> dict:
    """The overrides of `load_params` as a tree of sections."""
    fields = _fields()
    tree: dict[str, Any] = {}
    for given, value in overrides.items():
        name = given.replace("__", ".")
        fits = [name] if name in fields else [f for f in fields if f.endswith("." + name)]
        if any(field.startswith(name + ".") for field in fields):
            if not isinstance(value, Mapping):
                raise ValueError(
                    f"{given!r} is a section: give its fields, as in {given}={{...}}, "
                    f"not {value!r}."
                )
            _merge(tree, _resolved({f"{name}.{field}": v for field, v in value.items()}))
        elif len(fits) == 1:
            if value == "auto" and type(None) in getattr(fields[fits[0]], "__args__", ()):
                _merge(tree, _nested(fits[0], None))
            elif value is not None:
                _merge(tree, _nested(fits[0], value))
        else:
            raise ValueError(_unclear(given, name, fits))
    return tree


def _unclear(given: str, name: str, fits: list[str]) -> str:
    """The message for `given` (`name` with dots), which names no field or more than one."""
    if fits:
        return f"parameter {given!r} is ambiguous: say {' or '.join(fits).replace('.', '__')}."
    full = [field.replace(".", "__") for field in _fields()]
    close = nearest(given, full if "." in name else [field.rpartition("__")[2] for field in full])
    meant = [field for field in full if close in (field, field.rpartition("__")[2])]
    hint = f": did you mean {close!r} ({', '.join(meant)})?" if meant else "."
    return f"unknown parameter {given!r}{hint} params/profiles/demo.yaml lists them all."


def _nested(field: str, value: Any) -> dict:
    """Turns "thi.K" and a value into {"thi": {"K": value}}."""
    for name in reversed(field.split(".")):
        value = {name: value}
    return value


def _merge(tree: dict, layer: Mapping) -> None:
    """Writes the values of `layer` over those of `tree`, section by section."""
    for name, value in layer.items():
        if isinstance(value, Mapping) and isinstance(tree.get(name), dict):
            _merge(tree[name], value)
        else:
            tree[name] = value


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


def _explained(error: ValidationError, dataset: str, profile: str) -> str:
    """One line for each setting that is missing, unknown or has a wrong value."""
    lines = [f"the parameters of dataset {dataset}, profile {profile} are not valid:"]
    for part in error.errors():
        name = ".".join(map(str, part["loc"])) or "parameters"
        if part["type"] == "extra_forbidden":
            lines.append(f"{name}: unknown parameter{did_you_mean(name, _fields())}")
        elif part["type"] == "missing":
            lines.append(f"{name}: missing from the YAML files")
        else:
            given = "" if isinstance(part["input"], dict) else f" = {part['input']!r}"
            valid = re.findall(r"'([^']*)'", part.get("ctx", {}).get("expected", ""))
            hint = did_you_mean(part["input"], valid)
            lines.append(f"{name}{given}: {part['msg'].removeprefix('Value error, ')}{hint}")
    return "\n  ".join(lines)
