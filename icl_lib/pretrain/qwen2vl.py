"""The small Qwen2-VL before and after training: tokenizer, model, processor, folder."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from icl_lib.mllm.prompts import Prompts
from icl_lib.mllm.qwen2vl_tower import patchify, picture_tokens
from icl_lib.pretrain.exercises import Exercises
from icl_lib.pretrain.pupil import Pupil
from icl_lib.pretrain.tower import GRID, MERGE, PATCH, SIZE, AttributeTower, vision_config
from icl_lib.pretrain.world import GenericSet

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}"
    "{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(
    exercises: Exercises, size: int = 1000, seed: int = 0
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE of `size` tokens on exercises; it can encode any text."""
    rng = random.Random(seed)
    texts = [
        " ".join(getattr(exercises, task)(i, rng))
        for i in range(min(4000, len(exercises.data.truth)))
        for task in ("match", "rewrite")
    ] + [" ".join(exercises.vqa(0, rng))] * 200
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts + ["Yes", "No", "user", "assistant"] * 500,
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=SPECIAL,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:],
    )


def make_model(
    tokenizer, hidden: int = 192, layers: int = 4, heads: int = 6, seed: int = 0
) -> Qwen2VLForConditionalGeneration:
    """Build a small model of transformers' own class; its heads have 32 dimensions."""
    ids = tokenizer.convert_tokens_to_ids
    config = Qwen2VLConfig(
        text_config=dict(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            intermediate_size=hidden * 8 // 3,
            vocab_size=len(tokenizer),
            max_position_embeddings=2048,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[4, 6, 6]),
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.04,
        ),
        vision_config=vision_config(hidden=hidden).to_dict(),
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def make_processor(tokenizer) -> Qwen2VLProcessor:
    """Build Qwen2-VL's own processor for pictures with the area of 48 x 144 pixels."""
    sizes = dict(
        size={"shortest_edge": SIZE[0] * SIZE[1], "longest_edge": SIZE[0] * SIZE[1]},
        patch_size=PATCH,
        merge_size=MERGE,
    )
    return Qwen2VLProcessor(
        Qwen2VLImageProcessor(**sizes),
        tokenizer,
        Qwen2VLVideoProcessor(**sizes),
        chat_template=CHAT,
    )


def adopt_tower(
    model: Qwen2VLForConditionalGeneration, tower: AttributeTower, rms: float = 0.5
) -> None:
    """Put the trained tower into the model and scale its tokens to the size of word embeddings.

    From then on the two share one vision tower.
    """
    sample = torch.zeros(8, 3, SIZE[1], SIZE[0]).uniform_(
        -1.5, 1.5, generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        now = (
            picture_tokens(tower.visual, patchify(sample, PATCH, MERGE), GRID)
            .pow(2)
            .mean()
            .sqrt()
            .item()
        )
    last = tower.visual.merger.mlp[2]
    last.weight.data *= rms / now
    last.bias.data *= rms / now
    model.model.visual.load_state_dict(tower.visual.state_dict())
    tower.visual = model.model.visual
    nn.init.normal_(model.get_input_embeddings().weight, std=rms)


def new_pupil(data: GenericSet, tower: AttributeTower, prompts: Prompts, seed: int = 0) -> Pupil:
    """Build an untrained language model on top of the trained tower."""
    tokenizer = make_tokenizer(Exercises(data, prompts), seed=seed)
    pupil = Pupil(make_model(tokenizer, seed=seed), tokenizer)
    adopt_tower(pupil.model, tower)
    return pupil


def save_model(pupil: Pupil, folder: Path) -> None:
    """Write a `from_pretrained` folder in bf16: weights, tokenizer, processor and chat template."""
    pupil.model.to(torch.bfloat16).save_pretrained(folder)
    make_processor(pupil.tokenizer).save_pretrained(folder)
