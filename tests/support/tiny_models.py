"""Tiny random Qwen2.5-VL, Qwen3-VL and SmolVLM, saved as normal from_pretrained folders."""

from pathlib import Path

import torch
from PIL import Image
from tiny_qwen2vl import CHAT, tiny_qwen2vl, tiny_tokenizer
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

HIDDEN, HEADS, LAYERS = 48, 3, 2
AREA = {"shortest_edge": 32 * 32, "longest_edge": 48 * 144}
PATCHES = dict(patch_size=8, merge_size=2, temporal_patch_size=2)
VISION = dict(depth=2, num_heads=2, patch_size=8, spatial_merge_size=2, temporal_patch_size=2)
VISION["initializer_range"] = 0.2
SMOL_TOKENS = [
    "<image>",
    "<fake_token_around_image>",
    "<end_of_utterance>",
    "<global-img>",
    "<video>",
]
SMOL_TILES = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]


def tiny_qwen2_5_vl(folder: Path) -> Path:
    """Windowed attention in the vision tower, all but its last block."""
    tokenizer = tiny_tokenizer()
    vision = VISION | dict(
        hidden_size=32,
        intermediate_size=64,
        out_hidden_size=HIDDEN,
        window_size=32,
        fullatt_block_indexes=[1],
    )
    config = Qwen2_5_VLConfig(
        text_config=_text(tokenizer), vision_config=vision, **_marks(tokenizer)
    )
    processor = _processor(Qwen2_5_VLProcessor, Qwen2VLVideoProcessor, tokenizer)
    return _saved(folder, Qwen2_5_VLForConditionalGeneration, config, processor)


def tiny_qwen3_vl(folder: Path) -> Path:
    """Features of the tower's first block enter the language model's first layer (deepstack)."""
    tokenizer = tiny_tokenizer()
    vision = VISION | dict(
        hidden_size=32,
        intermediate_size=64,
        out_hidden_size=HIDDEN,
        num_position_embeddings=64,
        deepstack_visual_indexes=[0],
    )
    text = _text(tokenizer) | dict(head_dim=HIDDEN // HEADS)
    text["rope_parameters"] |= dict(mrope_interleaved=True)
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_marks(tokenizer))
    processor = _processor(Qwen3VLProcessor, Qwen3VLVideoProcessor, tokenizer)
    return _saved(folder, Qwen3VLForConditionalGeneration, config, processor)


def tiny_smolvlm(folder: Path) -> Path:
    """A picture is cut into tiles of 32 x 32 pixels, each 4 tokens, with its whole beside them."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": SMOL_TOKENS + SMOL_TILES})
    tokenizer.eos_token = "<end_of_utterance>"
    rope = dict(rope_type="default", rope_theta=1e4)
    text = _text(tokenizer) | dict(model_type="llama", rope_parameters=rope)
    vision = dict(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        initializer_range=0.2,
    )
    config = SmolVLMConfig(
        text_config=text,
        vision_config=vision,
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=True,
    )
    tiles = dict(size={"longest_edge": 96}, max_image_size={"longest_edge": 32})
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**tiles),
        tokenizer,
        SmolVLMVideoProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 32}),
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    return _saved(folder, SmolVLMForConditionalGeneration, config, processor)


TINY = {
    "qwen2_vl": tiny_qwen2vl,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "smolvlm": tiny_smolvlm,
}


@torch.no_grad()
def plain_p_yes(folder: Path, prompts, images, texts) -> list[float]:
    """P(Yes) of each pair on its own, straight through the processor and the whole model."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    spelled = {
        word: processor.tokenizer.encode(word, add_special_tokens=False) for word in (" Yes", " No")
    }
    spelled |= {
        word: processor.tokenizer.encode(word, add_special_tokens=False) for word in ("Yes", "No")
    }
    answers = []
    for image, text in zip(images, texts, strict=True):
        content = [{"type": "image"}, {"type": "text", "text": prompts.ask_match(text)}]
        message = [{"role": "user", "content": content}]
        inputs = processor(
            text=[processor.apply_chat_template(message, add_generation_prompt=True)],
            images=[[Image.open(image)]],
            return_tensors="pt",
        )
        probabilities = model(**inputs).logits[0, -1].double().softmax(-1)
        of = {word: float(probabilities[ids[0]]) for word, ids in spelled.items() if len(ids) == 1}
        yes, no = (of[word] + of.get(" " + word, 0) for word in ("Yes", "No"))
        answers.append(yes / (yes + no))
    return answers


def _processor(kind, video, tokenizer):
    pictures = Qwen2VLImageProcessor(size=dict(AREA), **PATCHES)
    return kind(pictures, tokenizer, video(size=dict(AREA), **PATCHES), chat_template=CHAT)


def _text(tokenizer) -> dict:
    return dict(
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=2 * HIDDEN,
        vocab_size=len(tokenizer),
        max_position_embeddings=4096,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[2, 3, 3]),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
        tie_word_embeddings=True,
    )


def _marks(tokenizer) -> dict:
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in names.items()
    }
    return ids | {"tie_word_embeddings": True}


def _saved(folder: Path, cls, config, processor) -> Path:
    torch.manual_seed(0)
    model = cls(config).eval()
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Path(folder)
