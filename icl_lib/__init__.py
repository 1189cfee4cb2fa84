"""Interactive cross-modal learning (ICL) for text-to-image person re-identification, as a kit of parts."""

__version__ = "0.1.0"
__all__ = ["Params", "load_params"]


def __getattr__(name):
    # Lazy, so that `import icl_lib` and `icl --help` cost no pydantic, pandas or torch.
    if name in __all__:
        from icl_lib import params

        return getattr(params, name)
    raise AttributeError(f"module 'icl_lib' has no attribute {name!r}")
