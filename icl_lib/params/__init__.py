"""The settings of a run: YAML files and overrides, validated and frozen."""

from icl_lib.params.load import Params, load_params

__all__ = ["Params", "load_params"]
