"""The study's writer answers with the adapter, the kit's own without it."""

import torch

from icl_lib.mllm import load_mllm
from icl_lib.mllm.load import writer_with_adapter
from icl_lib.mllm.lora import add_lora
from icl_lib.mllm.weights import load_model


def test_only_writer_with_adapter_writes_with_the_adapter(params, tiny_folder, pictures, tmp_path):
    adapted = add_lora(load_model(params, tiny_folder)[0], params)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:  # zero in a fresh adapter, which then changes nothing
            torch.nn.init.normal_(weight, std=0.5)
    adapted.save_pretrained(tmp_path / "adapter")
    prompts, few = ["Describe the person."] * 3, pictures[:3]
    plain = load_mllm(params).write(prompts, few)
    assert load_mllm(params, tmp_path / "adapter").write(prompts, few) == plain
    writer = writer_with_adapter(params, tmp_path / "adapter")
    assert writer.write(prompts, few) != plain
    again = writer_with_adapter(params, tmp_path / "adapter")
    assert again.write(prompts, few) == writer.write(prompts, few)
    assert again.misses == 0, "its answers are remembered"
