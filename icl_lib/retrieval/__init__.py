"""The retrieval model {f, g}: CLIP, RDE and IRRA, their training, the gallery and the metrics.

A backbone maps an image (f) and a text (g) to unit vectors whose inner product is the similarity S.
To add a backbone, subclass `Backbone` (backbone.py), as models.py does for RDE and irra.py for
IRRA, and construct it in load.py.
"""

__all__ = ["Gallery", "load_backbone", "retrieval_metrics", "similarity", "train_backbone"]

_HOMES = {
    "Gallery": "gallery",
    "load_backbone": "load",
    "retrieval_metrics": "metrics",
    "similarity": "evaluate",
    "train_backbone": "train",
}


def __getattr__(name):
    # Lazy, so that the metrics can be imported without loading torch and open_clip.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"icl_lib.retrieval.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'icl_lib.retrieval' has no attribute {name!r}")
