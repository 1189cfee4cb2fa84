"""ICL (CVPR 2025): text-to-image person re-identification with a multimodal LLM in the loop."""

__version__ = "0.1.0"
__all__ = ["Params", "load_params"]


def __getattr__(name):
    # Imported on first use: `import icl_lib` and `icl --help` need no pydantic, pandas or torch.
    if name in __all__:
        from icl_lib import params

        return getattr(params, name)
    raise AttributeError(f"module 'icl_lib' has no attribute {name!r}")
