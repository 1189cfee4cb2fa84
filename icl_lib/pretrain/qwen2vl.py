"""Second stage of the small Qwen2-VL: a language model on top of the tower learns five tasks.

Yes/No is not learned from the answers alone: the model learns it once it also predicts the words of
true captions in the same sequence.
"""

import random
from pathlib import Path

import numpy as np
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
from icl_lib.pretrain.exercises import SHARES, Exercises
from icl_lib.pretrain.loop import batches, train
from icl_lib.pretrain.pupil import Pupil
from icl_lib.pretrain.tower import GRID, MERGE, PATCH, SIZE, AttributeTower, vision_config
from icl_lib.pretrain.world import GenericSet, augment, plain
from icl_lib.results import atomic_path, progress

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


@torch.inference_mode()
def visual_features(
    tower: AttributeTower, data: GenericSet, copies: int, seed: int = 0
) -> torch.Tensor:
    """Encode all pictures, bf16 [copies, N, tokens, hidden]; only the first copy is plain."""
    out = []
    for copy in range(copies):
        rng, parts = torch.Generator().manual_seed(seed + copy), []
        for i in progress(range(0, len(data.truth), 256), f"visual tokens {copy + 1}/{copies}"):
            x = np.array(data.pictures[i : i + 256])  # a copy: the memory map is read-only
            x = plain(x) if copy == 0 else augment(torch.from_numpy(x), rng)
            with torch.autocast("cpu", torch.bfloat16):
                parts.append(tower.tokens(x).bfloat16())
        out.append(torch.cat(parts))
    return torch.stack(out)


def adopt_tower(
    model: Qwen2VLForConditionalGeneration, tower: AttributeTower, rms: float = 0.5
) -> None:
    """Put the trained tower into the model and scale its tokens to the size of word embeddings."""
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
    nn.init.normal_(model.get_input_embeddings().weight, std=rms)


def train_qwen2vl(
    data: GenericSet,
    tower: AttributeTower,
    prompts: Prompts,
    folder: Path,
    steps: int,
    lr: float = 1.5e-3,
    open_steps: int = 150,
    open_lr: float = 8e-4,
    copies: int = 2,
    compiled: bool = True,
    seed: int = 0,
) -> Pupil:
    """Train the language model on frozen visual tokens; resumes from the states in `folder`.

    The last `open_steps` continue at a constant rate: a general model is not annealed to one
    mixture of tasks. (A fully annealed raw model is better, and LoRA adds less; see notebook A2.)
    Long because the loss of a step, a function inside, uses most of the arguments.

    Args:
        data: generic pictures.
        tower: the trained vision tower.
        prompts: wording of the tasks.
        folder: where states, logs and visual tokens are kept.
        steps: steps with a cosine schedule.
        lr: learning rate of these steps.
        open_steps: steps at the constant rate `open_lr`.
        open_lr: learning rate of the last steps.
        copies: encoded versions of each picture; all but the first are augmented.
        compiled: use torch.compile, which needs a C++ compiler and is twice as fast on a CPU.
        seed: of the weights and the exercises.
    """
    exercises = Exercises(data, prompts)
    tokenizer = make_tokenizer(exercises, seed=seed)
    pupil = Pupil(make_model(tokenizer, seed=seed), tokenizer)
    adopt_tower(pupil.model, tower)
    pupil.model.model.visual.requires_grad_(False)
    if compiled:
        pupil.model.model.language_model.compile(dynamic=True)
    kept = Path(folder) / "visual_tokens.pt"
    if not kept.exists():
        with atomic_path(kept) as temp:
            torch.save(visual_features(tower, data, copies, seed), temp)
    features = torch.load(kept, weights_only=True)
    order = batches(len(data.truth), SHARES["match"] + SHARES["vqa"], seed)

    def loss_of(step):
        rng, index = random.Random(f"{seed}-{step}"), order(step).tolist()
        rng.shuffle(index)

        def some(task, which):
            return [(task, *getattr(exercises, task)(i, rng)) for i in which]

        def pick(which):
            return torch.stack([features[rng.randrange(copies), i] for i in which])

        # Yes/No is learned sooner from texts that are plainly wrong; 1 throughout the open steps.
        hard = min(1.0, step / (0.6 * steps))
        m, v = index[: SHARES["match"]], index[SHARES["match"] :]
        loss, numbers = pupil([("match", *exercises.match(i, rng, hard)) for i in m], pick(m))
        vqa, _ = pupil(some("vqa", v), pick(v))
        texts = [
            e
            for task in ("aggregate", "decompose", "rewrite")
            for e in some(task, [rng.randrange(len(data.truth)) for _ in range(SHARES[task])])
        ]
        written, _ = pupil(texts, None)
        return loss + vqa + written, {**numbers, "vqa": vqa.item(), "written": written.item()}

    train(pupil, loss_of, steps, lr, Path(folder), "qwen2vl")
    train(
        pupil,
        lambda step: loss_of(steps + step),
        open_steps,
        open_lr,
        Path(folder),
        "qwen2vl_open",
        warmup=10,
        decay=False,
    )
    return pupil.eval()


def save_model(pupil: Pupil, folder: Path) -> None:
    """Write a `from_pretrained` folder in bf16: weights, tokenizer, processor and chat template."""
    pupil.model.to(torch.bfloat16).save_pretrained(folder)
    make_processor(pupil.tokenizer).save_pretrained(folder)
