"""The sections of `Params`: every setting, with its type, unit and range. Values are in params/*.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Splits = tuple[Count, Count, Count]  # train, val, test; 0 where the benchmark has no such split


class Section(BaseModel):
    """Frozen; refuses unknown fields. The YAML files hold every value: what may be null has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Expected(Section):
    """Published counts, to compare with what was found."""

    ids: Splits
    images: Splits
    captions: Splits


class Data(Section):
    """The benchmark: its files, its published counts, and the size of the stand-in drawn in its place."""

    title: str  # the benchmark's own name and its folder's
    annotation: str  # file inside that folder
    root: str | None = None  # the benchmark's folder; null: see Params.data_root
    standin: bool
    strict: bool  # a bad record is fatal, not skipped and counted
    ids_train: Positive | None = None  # stand-in only, identities a split
    ids_val: Count | None = None
    ids_test: Positive | None = None
    images_per_id: Positive  # stand-in only
    expected: Expected


class Backbone(Section):
    """The retrieval model f, g and its training."""

    method: Literal["rde"]
    clip: str  # "small" (ships with the kit) or an open_clip model name
    weights: str | None = None  # null: the small CLIP's own; "openai"; or a local file
    image_size: tuple[Positive, Positive]  # height, width in pixels
    context_length: Positive  # text tokens
    embed_tse: Positive  # width of the token selection embedding
    select_ratio: Annotated[float, Field(gt=0, le=1)]  # share of tokens that TSE keeps
    loss: Literal["tal", "trl", "sdm", "info_nce"]
    tau: Annotated[float, Field(gt=0)]  # temperature of TAL
    margin: Rate  # margin of TAL
    epochs: Positive
    batch_size: Positive
    lr: Rate  # CLIP's weights
    bias_lr_factor: Rate
    tse_lr: Rate
    text_position_lr_factor: Rate  # only where text positions were resized
    weight_decay: Rate  # 0 on biases
    warmup_epochs: Count
    warmup_factor: Share  # of lr, at the first step of a linear warm-up
    final_lr: Rate  # end of the cosine
    rda: bool  # train with reorganised texts too
    rda_weight_slope: Rate  # w(epoch) = max(floor, 1 - slope * epoch)
    rda_weight_floor: Share
    ccd: bool  # clean-pair division
    text_mask: Share  # share of text tokens touched
    text_mask_split: tuple[Share, Share, Share]  # of those: masked, replaced at random, dropped
    erase_scale: tuple[Share, Share]  # random erasing, share of the picture's area
    pad: Count  # pixels padded before the random crop
    precision: Literal["auto", "bf16", "fp32"]  # auto: bf16 autocast where the machine is fast at it
    select_on: Literal["val", "test"]  # split that picks the best epoch
    eval_batch: Positive
    index: str = "Flat"  # FAISS's recipe of the gallery's index: Flat (exact), HNSW32, IVF1024,PQ16 …
    index_options: str = ""  # its search parameters: nprobe=16, efSearch=64 …

    @model_validator(mode="after")
    def _split_sums_to_one(self):
        if abs(sum(self.text_mask_split) - 1) > 1e-6:
            raise ValueError(f"text_mask_split {list(self.text_mask_split)} must sum to 1")
        return self


class Mllm(Section):
    """The multimodal LLM M and how it is asked."""

    model: str  # "small" (ships with the kit), a local folder, or a name in the Hugging Face cache
    backend: Literal["local", "server"]
    url: str | None = None  # server only, e.g. http://127.0.0.1:8000/v1
    dtype: Literal["float32", "bfloat16"]  # fp16 has given NaN with Qwen2-VL
    max_pixels: Positive | None = None  # a picture; null: the model's own
    batch_size: Positive  # pairs at once
    prompts: str  # a file of params/prompts without .yaml, or a path to a YAML file
    max_new_tokens: Positive
    temperature: Rate  # 0.01 is greedy in effect, and is decoded greedily
    allow_download: bool


class Rda(Section):
    """Reorganisation data augmentation."""

    rewrites: Positive  # m, sentences a sub-sentence is rewritten into


class Sft(Section):
    """LoRA supervised fine-tuning of M on Yes/No pairs (Eq. 3)."""

    r: Positive
    alpha: Positive
    dropout: Share
    target_modules: tuple[str, ...]
    lr: Rate
    weight_decay: Rate
    epochs: Positive
    batch_size: Positive  # pairs a forward pass
    accumulation: Positive  # passes an optimiser step
    top_k: Positive  # depth of the miner's list that hard negatives come from
    pairs: Positive | None = None  # at most so many training captions; null: all
    threshold: Share | None = None  # on P(Yes); null: chosen on val pairs


class Thi(Section):
    """Test-time human-centred interaction (Eq. 6, Algorithm 1)."""

    K: Count  # rounds
    k_max: Positive  # how far down the ranking a trace asks
    xi: Cosine | None = None  # threshold ξ on S(q, v̂_1); null: chosen on val
    lam: Share | None = None  # λ of Eq. 6; null: chosen on val

    @model_validator(mode="after")
    def _rounds_within_trace(self):
        if self.K > self.k_max:
            raise ValueError(f"K={self.K} needs a trace as deep: set k_max={self.K} too (now {self.k_max})")
        return self
