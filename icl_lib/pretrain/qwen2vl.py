"""Stage 2a: a small Qwen2-VL on top of the vision tower, taught the five tasks of the paper in the generic world.

Yes/No does not appear by itself: it appears when the words of true captions are predicted in the same sequence.
"""

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
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
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}"
    "{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOKENS = (GRID[0] // MERGE) * (GRID[1] // MERGE)  # visual tokens a picture


def make_tokenizer(
    exercises: Exercises, size: int = 1000, seed: int = 0
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `size` tokens, trained on exercises; any text can be written in it."""
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
    """Transformers' own class in a small size; head size 32 with an mrope section of 4 + 6 + 6."""
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
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = (
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
    return model


def make_processor(tokenizer) -> Qwen2VLProcessor:
    """Qwen2-VL's own processor: pictures of 48 x 144 pixels (or as many in another shape), patches of 12, merged by 2 x 2."""
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


def positions(before: int, width: int, rows: int, picture: bool) -> torch.Tensor:
    """Qwen2-VL's 3-D positions [3, B, L] (time, row, column) of a prompt that opens with `before` tokens and one picture."""
    line = torch.arange(width).expand(3, -1).clone()
    if picture:
        start, high, wide = before + 1, GRID[0] // MERGE, GRID[1] // MERGE
        line[0, start : start + TOKENS] = start
        line[1, start : start + TOKENS] = start + torch.arange(high).repeat_interleave(wide)
        line[2, start : start + TOKENS] = start + torch.arange(wide).repeat(high)
        line[:, start + TOKENS :] = torch.arange(width - start - TOKENS) + start + max(high, wide)
    return line[:, None].expand(3, rows, width)


class Pupil(nn.Module):
    """The model in training: sequences of one batch, visual tokens put in place, two losses."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, tokenizer):
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.yes_no = [tokenizer.convert_tokens_to_ids(w) for w in ("Yes", "No")]
        self.pad, self.picture = (
            tokenizer.pad_token_id,
            tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        )
        self.open = tokenizer("<|im_start|>user\n", add_special_tokens=False)["input_ids"]
        self.seen = tokenizer(
            "<|vision_start|>" + "<|image_pad|>" * TOKENS + "<|vision_end|>",
            add_special_tokens=False,
        )["input_ids"]
        self.turn = tokenizer("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)[
            "input_ids"
        ]

    def forward(
        self,
        exercises: list[tuple[str, str, str]],
        visual: torch.Tensor | None,
        yes_weight: float = 1.0,
        words: bool = True,
        focal: bool = False,
    ):
        """exercises: (task, prompt, answer); visual: [B, tokens, hidden] for the tasks with a picture. -> (loss, numbers).

        yes_weight: of Yes/No's loss beside that of the words; words: whether a true caption's words are predicted beside its Yes;
        focal: each word's loss times 1 − P(word), the focal loss of Lin et al. 2017 with γ = 1 (its weight without gradient).
        """
        prompts = self.tokenizer([e[1] for e in exercises], add_special_tokens=False)["input_ids"]
        answers = self.tokenizer(
            [e[2] + "<|im_end|>" for e in exercises], add_special_tokens=False
        )["input_ids"]
        head = self.open + (self.seen if visual is not None else [])
        rows = [head + p + self.turn + a for p, a in zip(prompts, answers)]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.pad)
        labels = torch.full((len(rows), width), -100)
        ask = len(
            self.tokenizer(
                "Can this text accurately describe the image?", add_special_tokens=False
            )["input_ids"]
        )
        answer_at = torch.zeros(len(rows), dtype=torch.long)
        for r, (row, p, a, e) in enumerate(zip(rows, prompts, answers, exercises)):
            ids[r, : len(row)] = torch.tensor(row)
            start = len(row) - len(a)
            answer_at[r] = start
            if e[0] == "match":
                if words and e[2] == "Yes":
                    labels[r, len(head) + ask : len(head) + len(p)] = ids[
                        r, len(head) + ask : len(head) + len(p)
                    ]
            else:
                labels[r, start : len(row)] = ids[r, start : len(row)]
        x = self.model.get_input_embeddings()(ids)  # [B, L, D]
        if visual is not None:
            first = len(self.open) + 1
            x = torch.cat([x[:, :first], visual.to(x.dtype), x[:, first + TOKENS :]], 1)
        x = (
            x.bfloat16()
        )  # a residual stream of half the bytes: on a CPU memory, not arithmetic, sets the pace
        out = self.model.model.language_model(
            inputs_embeds=x,
            position_ids=positions(len(self.open), width, len(rows), visual is not None),
            use_cache=False,
        ).last_hidden_state  # [B, L, D]
        keep = labels[:, 1:] >= 0
        each = F.cross_entropy(
            self.model.lm_head(out[:, :-1][keep]).float(), labels[:, 1:][keep], reduction="none"
        )
        spoken = ((1 - (-each.detach()).exp()) * each if focal else each).sum() / max(1, len(each))
        numbers = {}
        match = torch.tensor([e[0] == "match" for e in exercises])
        loss = spoken
        if match.any():
            rows_ = torch.nonzero(match)[:, 0]
            logits = self.model.lm_head(out[rows_, answer_at[rows_] - 1]).float()  # [M, vocabulary]
            target = torch.tensor(
                [
                    self.yes_no[0] if exercises[r][2] == "Yes" else self.yes_no[1]
                    for r in rows_.tolist()
                ]
            )
            yes = F.cross_entropy(logits, target)
            right = (
                (logits[:, self.yes_no].argmax(-1) == (target == self.yes_no[1]).long())
                .float()
                .mean()
            )
            numbers = {"yes_no": yes.item(), "yes_no_accuracy": right.item()} | (
                {"caption_words": spoken.item()} if words else {}
            )
            loss = loss + yes_weight * yes
        return loss, numbers


@torch.inference_mode()
def visual_features(
    tower: AttributeTower, data: GenericSet, copies: int, seed: int = 0
) -> torch.Tensor:
    """bf16 [copies, N, tokens, hidden]: the first copy of the plain pictures, the others augmented."""
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
    """Put the trained tower into the model, its tokens scaled to the size of word embeddings."""
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
    """Teach the language model on frozen visual tokens; resumes from `folder`.

    The last `open_steps` go on at a constant rate: a general model is not annealed to one task, and its adapter's own
    schedule is what settles it. (Annealed to the end the raw model is better, and LoRA adds less: see notebook A2.)

    compiled: fuse the language model's small operations by torch.compile (needs a C++ compiler; twice as fast on a CPU).
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
        some = lambda task, which: [(task, *getattr(exercises, task)(i, rng)) for i in which]
        hard = min(
            1.0, step / (0.6 * steps)
        )  # (stays 1 in the open steps) Yes/No is found sooner where texts are plainly wrong
        pick = lambda which: torch.stack([features[rng.randrange(copies), i] for i in which])
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
    """Write a normal `from_pretrained` folder in bf16: weights as safetensors, tokenizer, processor, chat template."""
    pupil.model.to(torch.bfloat16).save_pretrained(folder)
    make_processor(pupil.tokenizer).save_pretrained(folder)
