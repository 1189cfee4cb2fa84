"""f and g: the retrieval model, its training, the gallery it searches and the metrics of a ranking."""

__all__ = ["Gallery", "load_backbone", "retrieval_metrics", "similarity", "train_backbone"]

_HOMES = {
    "Gallery": "gallery",
    "load_backbone": "load",
    "retrieval_metrics": "metrics",
    "similarity": "evaluate",
    "train_backbone": "train",
}


def __getattr__(name):
    # Lazy, so that metrics can be had without loading torch and open_clip.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"icl_lib.retrieval.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'icl_lib.retrieval' has no attribute {name!r}")
