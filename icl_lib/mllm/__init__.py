"""M, the multimodal LLM: judges whether a text fits a picture (`p_yes`) and writes (`write`)."""

from icl_lib.data.pictures import open_picture
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.load import load_mllm
from icl_lib.mllm.memory import Memory
from icl_lib.mllm.prompts import Prompts, load_prompts
from icl_lib.mllm.tasks import aggregate, decompose, describe, rewrite

__all__ = [
    "MLLM",
    "Memory",
    "Prompts",
    "aggregate",
    "decompose",
    "describe",
    "load_mllm",
    "load_prompts",
    "open_picture",
    "rewrite",
]
