"""The sections of `Params`: every setting, with its type, unit and range. Values are in params/*.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Splits = tuple[Count, Count, Count]  # train, val, test; 0 where the benchmark has no such split
Loss = Literal["tal", "trl", "sdm", "info_nce"]
OWN_LOSS = {
    "rde": "tal",
    "irra": "sdm",
    "clip": "info_nce",
}  # the loss that each method was published with


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
    images_per_id: Positive  # stand-in only, on average
    # Identities of train held out as val where the benchmark has no val split; null: as many as ids_val. A
    # fixed draw, the same for every seed of a run; benchmarks with a val split leave it unread.
    val_from_train: Count | None = None
    # A trial run: each split keeps its first N people by id, before any picture is opened; null keeps all.
    # Its results go into a folder of their own (see `Params.results_dir`).
    limit_ids: Positive | None = None
    expected: Expected


class Irra(Section):
    """What IRRA alone has: its heads, used in training only."""

    cross_layers: Positive  # of the cross-modal transformer
    mlm_share: Share  # words masked for masked language modelling
    mlm_weight: Rate  # of masked language modelling, beside the matching loss
    id_weight: Rate  # of identity classification
    head_lr_factor: Rate  # of lr, for the cross-modal transformer and both heads


class AsReleased(Section):
    """Surprises of the released code that no paper tells; each can be had, none is the default."""

    text_positions: bool  # resized text positions start random: the released resize fails unnoticed
    frozen_batchnorm: (
        bool  # TSE's BatchNorm keeps its initial statistics: model.train() is never called
    )


class Backbone(Section):
    """The retrieval model f, g and its training."""

    method: Literal["rde", "irra", "clip"]
    checkpoint: str | None = None  # a trained backbone, file or folder, in place of training one
    clip: str  # "small" (ships with the kit) or an open_clip model name
    weights: str | None = None  # null: the small CLIP's own; "openai"; or a local file
    image_size: tuple[Positive, Positive]  # height, width in pixels
    context_length: Positive  # text tokens
    embed_tse: Positive  # width of the token selection embedding
    select_ratio: Annotated[float, Field(gt=0, le=1)]  # share of tokens that TSE keeps
    loss: Loss | None = None  # null: the method's own, rde tal, irra sdm, clip info_nce
    tau: Annotated[float, Field(gt=0)]  # temperature of TAL
    margin: Rate  # margin of TAL
    epochs: Positive
    batch_size: Positive  # pairs that are each other's negatives; several processes share it out
    accumulation: Positive  # batches an optimiser step; negatives come from one batch all the same
    lr: Rate  # CLIP's weights
    bias_lr_factor: Rate
    tse_lr: Rate
    text_position_lr_factor: Rate  # only where text positions were resized
    weight_decay: Rate  # 0 on biases
    warmup_epochs: Count
    warmup_factor: Share  # of lr, at the first step of a linear warm-up
    final_lr: Rate  # end of the cosine
    rda: bool  # train with reorganised texts too
    rda_texts: Literal["both", "only"]  # of rda: captions and reorganised texts, or these alone
    rda_weight_slope: Rate  # w(epoch) = max(floor, 1 - slope * epoch)
    rda_weight_floor: Share
    ccd: bool | None = None  # clean-pair division; null: the method's own, rde only
    text_mask: Share  # share of text tokens touched
    text_mask_split: tuple[Share, Share, Share]  # of those: masked, replaced at random, dropped
    erase_scale: tuple[Share, Share]  # random erasing, share of the picture's area
    pad: Count  # pixels padded before the random crop
    noise: Share  # of training pairs wired wrongly on purpose
    noise_index: str | None = (
        None  # or a .npy file that says which caption each pair's picture gets
    )
    precision: Literal["auto", "bf16", "fp32"]  # auto: bf16 autocast where the machine is fast at it
    select_on: Literal["val", "test"]  # split that picks the best epoch
    eval_batch: Positive
    index: str = (
        "Flat"  # FAISS's recipe of the gallery's index: Flat (exact), HNSW32, IVF1024,PQ16 …
    )
    index_options: str = ""  # its search parameters: nprobe=16, efSearch=64 …
    irra: Irra
    as_released: AsReleased

    @model_validator(mode="before")
    @classmethod
    def _the_methods_own(cls, given):
        # Made concrete here, so that no reader of `loss` and `ccd` and no hash has to know what null means.
        if not isinstance(given, dict):
            return given
        method, own = given.get("method"), {}
        if given.get("loss") is None:
            own["loss"] = OWN_LOSS.get(method)
        if given.get("ccd") is None:
            own["ccd"] = method == "rde"
        return given | own

    @model_validator(mode="after")
    def _split_sums_to_one(self):
        if abs(sum(self.text_mask_split) - 1) > 1e-6:
            raise ValueError(f"text_mask_split {list(self.text_mask_split)} must sum to 1")
        return self

    @model_validator(mode="after")
    def _makes_sense(self):
        if self.as_released.frozen_batchnorm and self.method != "rde":
            raise ValueError(
                "as_released.frozen_batchnorm is about the BatchNorm of RDE's TSE; method "
                f"{self.method!r} has none: set it to false, or method to rde"
            )
        if self.noise and self.noise_index is not None:
            raise ValueError(
                f"noise {self.noise} and noise_index {self.noise_index} both say which pairs are "
                "wrong: set one of them"
            )
        if self.batch_size < 2:
            raise ValueError(
                "batch_size 1 leaves a pair without a negative, so there is nothing to learn: "
                "at least 2"
            )
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

    @model_validator(mode="after")
    def _server_has_an_address(self):
        if self.backend == "server" and not (self.url or "").startswith(("http://", "https://")):
            raise ValueError(
                "backend server needs the server's address, as url http://127.0.0.1:8000/v1, "
                f"not {self.url!r}"
            )
        return self


class Server(Section):
    """The server that is M where mllm.backend is server: what it calls its models, and how it is asked."""

    served_model: str | None = None  # M's name there; null: mllm.model, or the folder of "small"
    served_adapter: str | None = (
        None  # name there of M with its LoRA adapter, which answers Yes and No
    )
    logprobs: bool  # P(Yes) from log-probabilities where the server gives them; false: always from the word
    key_variable: str | None = (
        None  # environment variable that holds the API key; null: none is sent
    )
    concurrency: Positive  # requests at once
    connect_timeout: Seconds  # to reach the server
    timeout: Seconds  # for one whole answer
    retries: Count  # of a request that timed out, broke off, or met an overloaded or failing server
    backoff: Seconds  # before the first retry, doubled before each further one
    longest_wait: Seconds  # between two tries; a server that asks for more ends the run


class Rda(Section):
    """Reorganisation data augmentation."""

    rewrites: Positive  # m, sentences a sub-sentence is rewritten into
    # Share of the sub-sentences added by M that isn't trained on, least believed (P(Yes) given the picture) first; null: all are
    drop: Share | None = None
    file: str | None = (
        None  # texts in the authors' format (`diversity_captions`) to train on, in place of asking M
    )

    @model_validator(mode="after")
    def _drops_what_it_can_check(self):
        if self.file is not None and self.drop is not None:
            raise ValueError(
                f"drop {self.drop} checks what M wrote, and file {self.file} replaces it: set one of them"
            )
        return self


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
    draws: Positive  # pairs of each such caption, every one with another hard negative
    threshold: Share | None = None  # on P(Yes); null: chosen on val pairs


class Thi(Section):
    """Test-time human-centred interaction (Eq. 6, Algorithm 1)."""

    K: Count  # rounds
    k_max: Positive  # how far down the ranking a trace asks
    xi: Cosine | None = None  # threshold ξ on S(q, v̂_1); null: chosen on val
    lam: Share | None = None  # λ of Eq. 6; null: chosen on val
    variant: Literal["argmax", "soft", "gate", "second_look", "adding"] | None = (
        None  # null: Algorithm 1 as published
    )

    @model_validator(mode="after")
    def _rounds_within_trace(self):
        if self.k_max < self.K:
            raise ValueError(
                f"K={self.K} needs a trace as deep: set k_max={self.K} too (now {self.k_max})"
            )
        return self
