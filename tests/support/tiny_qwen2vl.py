"""A tiny Qwen2-VL with random weights, saved as a normal from_pretrained folder."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CORPUS = [
    "A woman with long black hair wears a red coat, blue jeans and white shoes.",
    "The man in a grey shirt and black trousers carries a brown bag on his back.",
    "Can this text accurately describe the image? Yes No Yes No Yes No system user assistant",
    "1. a man 2. short brown hair 3. a striped green t-shirt 4. no 5. not visible",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 330 tokens, with "Yes", "No" and Qwen's control tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS * 4 + ["Yes", "No"] * 40, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:],
    )


def tiny_qwen2vl(
    folder: Path,
    seed: int = 0,
    hidden: int = 48,
    layers: int = 2,
    vision: int = 32,
    vision_depth: int = 1,
    heads: int = 3,
) -> Path:
    """Saves the folder and returns it; pictures become 48 x 144 pixels = 27 visual tokens."""
    tokenizer = tiny_tokenizer()
    token = tokenizer.convert_tokens_to_ids
    size = {"shortest_edge": 48 * 144, "longest_edge": 48 * 144}
    vision_sizes = dict(patch_size=8, merge_size=2, temporal_patch_size=2)
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(size=dict(size), **vision_sizes),
        tokenizer,
        Qwen2VLVideoProcessor(size=dict(size), **vision_sizes),
        chat_template=CHAT,
    )
    config = Qwen2VLConfig(
        text_config=dict(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            intermediate_size=hidden * 2,
            vocab_size=len(tokenizer),
            max_position_embeddings=4096,
            rope_parameters=dict(
                rope_type="default", rope_theta=10000.0, mrope_section=_thirds(hidden // heads // 2)
            ),
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=0.2,
        ),
        vision_config=dict(
            depth=vision_depth,
            embed_dim=vision,
            num_heads=2,
            hidden_size=hidden,
            mlp_ratio=2,
            patch_size=8,
            spatial_merge_size=2,
            temporal_patch_size=2,
            initializer_range=0.2,
        ),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Path(folder)


def _thirds(half_head: int) -> list[int]:
    side = 3 * half_head // 8
    return [half_head - 2 * side, side, side]


def pictures(folder: Path, n: int, seed: int = 0, size: tuple[int, int] = (48, 144)) -> list[str]:
    """n noisy pictures of different colours as files; returns their paths."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n):
        colour = rng.integers(0, 255, 3)
        noise = rng.integers(-40, 40, (size[1], size[0], 3))
        path = folder / f"{i:03d}.png"
        Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(path)
        paths.append(str(path))
    return paths
