"""The sections of `Params`: every setting with its type, unit and range.

The values are in params/datasets/*.yaml and params/profiles/*.yaml, which set every field; only a
field that may be null has a default here.
"""

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
# The loss that each method was published with.
OWN_LOSS = {"rde": "tal", "irra": "sdm", "clip": "info_nce"}


class Section(BaseModel):
    """A group of settings, which is frozen and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Expected(Section):
    """The published counts of a benchmark, compared with what its files hold."""

    ids: Splits
    images: Splits
    captions: Splits


class Data(Section):
    """The benchmark: its files, its published counts, and the size of its stand-in."""

    title: str  # the benchmark's published name, which is also the name of its folder
    annotation: str  # the annotation file in that folder
    root: str | None = None  # the benchmark's folder; null: see `Params.data_root`
    standin: bool  # draw a stand-in instead of reading the real files
    strict: bool  # raise an error that lists the bad records instead of skipping them
    ids_train: Positive | None = None  # people drawn for each split of the stand-in
    ids_val: Count | None = None
    ids_test: Positive | None = None
    images_per_id: Positive  # pictures drawn of each person of the stand-in, on average
    # If the benchmark has no val split: people of train held out as val; null: as many as ids_val.
    # They are the same for every seed. A benchmark with a val split ignores this.
    val_from_train: Count | None = None
    # A trial run: each split keeps its first N people by id, before any picture is opened. null
    # keeps all. Its results go into a folder of their own (see `Params.results_dir`).
    limit_ids: Positive | None = None
    expected: Expected


class Irra(Section):
    """Settings of the heads that only IRRA has; they are used in training only."""

    cross_layers: Positive  # layers of the cross-modal transformer
    mlm_share: Share  # share of words masked for masked language modelling (MLM)
    mlm_weight: Rate  # weight of the MLM loss; the matching loss has weight 1
    id_weight: Rate  # weight of the identity classification loss
    head_lr_factor: Rate  # times lr: learning rate of the cross-modal transformer and both heads


class AsReleased(Section):
    """Behaviour of the released code that the paper does not mention; off by default."""

    # Start resized text positions at random: in the released code the resize fails silently.
    text_positions: bool
    # Keep the initial statistics of TSE's BatchNorm: the released code never calls model.train().
    frozen_batchnorm: bool


class Backbone(Section):
    """The retrieval model (image encoder f, text encoder g) and its training."""

    method: Literal["rde", "irra", "clip"]
    checkpoint: str | None = None  # a trained backbone (file or folder) to use instead of training
    clip: str  # "small" (ships with the kit) or an open_clip model name
    weights: str | None = None  # null: the small CLIP's own; "openai"; or a local file
    image_size: tuple[Positive, Positive]  # height, width in pixels
    context_length: Positive  # text tokens
    embed_tse: Positive  # width of the token selection embedding (TSE)
    select_ratio: Annotated[float, Field(gt=0, le=1)]  # share of tokens that TSE keeps
    loss: Loss | None = None  # null: the method's own, see OWN_LOSS
    tau: Annotated[float, Field(gt=0)]  # temperature of TAL
    margin: Rate  # margin of TAL
    epochs: Positive
    batch_size: Positive  # pairs that are each other's negatives; several processes share them
    accumulation: Positive  # batches per optimiser step; negatives still come from one batch
    lr: Rate  # learning rate of CLIP's weights
    bias_lr_factor: Rate  # times lr, for biases
    tse_lr: Rate  # learning rate of the TSE heads
    text_position_lr_factor: Rate  # times lr, for text positions where they were resized
    weight_decay: Rate  # 0 on biases
    warmup_epochs: Count
    warmup_factor: Share  # times lr: the first step of the linear warm-up
    final_lr: Rate  # end of the cosine schedule
    rda: bool  # train with the texts of RDA too
    rda_texts: Literal["both", "only"]  # if rda: captions and RDA's texts, or RDA's texts only
    rda_weight_slope: Rate  # weight of RDA's texts: w(epoch) = max(floor, 1 - slope * epoch)
    rda_weight_floor: Share
    ccd: bool | None = None  # confident consensus division; null: the method's own, on for rde only
    text_mask: Share  # share of text tokens that augmentation changes
    text_mask_split: tuple[Share, Share, Share]  # of those: masked, replaced at random, dropped
    erase_scale: tuple[Share, Share]  # random erasing: smallest and largest share of the area
    pad: Count  # pixels padded before the random crop
    noise: Share  # share of training pairs mismatched on purpose
    noise_index: str | None = None  # or a .npy file that names the caption of each pair's picture
    # auto: bf16 where the machine is fast at it; fp16: on CUDA only, with scaled gradients.
    precision: Literal["auto", "bf16", "fp16", "fp32"]
    select_on: Literal["val", "test"]  # split on which the best epoch is chosen
    eval_batch: Positive
    index: str = "Flat"  # FAISS index factory string: Flat (exact), HNSW32, IVF1024,PQ16, …
    index_options: str = ""  # FAISS search parameters: nprobe=16, efSearch=64, …
    irra: Irra
    as_released: AsReleased

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_methods_own(cls, given):
        # Done here so that no reader of `loss` and `ccd`, and no hash, has to know what null means.
        if not isinstance(given, dict):
            return given
        own = {"loss": OWN_LOSS.get(given.get("method")), "ccd": given.get("method") == "rde"}
        return given | {name: value for name, value in own.items() if given.get(name) is None}

    @model_validator(mode="after")
    def _is_consistent(self):
        if abs(sum(self.text_mask_split) - 1) > 1e-6:
            raise ValueError(f"text_mask_split {list(self.text_mask_split)} must sum to 1")
        if self.as_released.frozen_batchnorm and self.method != "rde":
            raise ValueError(
                "as_released.frozen_batchnorm concerns the BatchNorm of RDE's TSE heads, which "
                f"method {self.method!r} does not have: set it to false, or set method to rde"
            )
        if self.noise and self.noise_index is not None:
            raise ValueError(
                f"noise {self.noise} and noise_index {self.noise_index} both say which pairs are "
                "mismatched: set only one of them"
            )
        if self.batch_size < 2:
            raise ValueError("batch_size 1 leaves a pair without a negative: set it to at least 2")
        return self


class Mllm(Section):
    """The multimodal LLM M and how it is asked."""

    model: str  # "small" (ships with the kit), a local folder, or a name in the Hugging Face cache
    backend: Literal["local", "server"]
    url: str | None = None  # server only, for example http://127.0.0.1:8000/v1
    dtype: Literal["float32", "bfloat16"]  # float16 gives NaN with Qwen2-VL
    max_pixels: Positive | None = None  # largest size of a picture; null: the model's own limit
    batch_size: Positive  # pairs per forward pass
    prompts: str  # a file of params/prompts without .yaml, or a path to a YAML file
    max_new_tokens: Positive
    temperature: Rate  # the paper's 0.01 is greedy in effect, so decoding is greedy
    allow_download: bool

    @model_validator(mode="after")
    def _server_has_an_address(self):
        if self.backend == "server" and not (self.url or "").startswith(("http://", "https://")):
            raise ValueError(
                "backend server needs the server's address, such as url http://127.0.0.1:8000/v1, "
                f"not {self.url!r}"
            )
        return self


class Server(Section):
    """The server that answers as M if mllm.backend is server: its models' names, and its limits."""

    served_model: str | None = None  # M's name there; null: mllm.model or the small model's folder
    served_adapter: str | None = None  # M with its LoRA adapter, which answers Yes or No
    logprobs: bool  # P(Yes) from log-probabilities if the server gives them; false: from the text
    key_variable: str | None = None  # environment variable with the API key; null: no key is sent
    concurrency: Positive  # requests in flight at the same time
    connect_timeout: Seconds  # to reach the server
    timeout: Seconds  # for one complete answer
    retries: Count  # new tries if a request times out or fails, or the server is overloaded
    backoff: Seconds  # wait before the first retry; doubled before each further one
    longest_wait: (
        Seconds  # longest wait between two tries; a server that asks for more ends the run
    )


class Rda(Section):
    """Reorganisation data augmentation (RDA)."""

    rewrites: Positive  # m, the number of rewritings of each sub-sentence
    # Not in the paper: the share of the sub-sentences added by M that is not trained on, those with
    # the lowest P(Yes) first; null: train on all.
    drop: Share | None = None
    # RDA texts in the authors' format (`diversity_captions`), used instead of asking M.
    file: str | None = None

    @model_validator(mode="after")
    def _drops_what_it_can_check(self):
        if self.file is not None and self.drop is not None:
            raise ValueError(
                f"drop {self.drop} filters what M wrote, but file {self.file} replaces it: "
                "set only one of them"
            )
        return self


class Sft(Section):
    """LoRA supervised fine-tuning of M on Yes/No pairs (Eq. 3)."""

    r: Positive  # rank
    alpha: Positive  # scale
    dropout: Share
    target_modules: tuple[str, ...]
    lr: Rate
    weight_decay: Rate
    epochs: Positive
    batch_size: Positive  # pairs per forward pass
    accumulation: Positive  # forward passes per optimiser step
    top_k: Positive  # hard negatives come from the first top_k candidates
    pairs: Positive | None = None  # largest number of training captions; null: all
    draws: Positive  # uses of each caption: its own picture (Yes), a new hard negative (No)
    threshold: Share | None = None  # Yes if P(Yes), uncalibrated, is above it; null: chosen on val


class Thi(Section):
    """Test-time human-centred interaction (THI; Eq. 6, Algorithm 1)."""

    K: Count  # rounds
    k_max: Positive  # the trace asks about this many candidates of a query
    xi: Cosine | None = None  # threshold ξ on S(q, v̂_1); null: chosen on val
    lam: Share | None = None  # λ of Eq. 6; null: chosen on val
    # How answers are used: Algorithm 1 and Eq. 6, or as evidence (notebook 06)
    rule: Literal["algorithm1", "evidence"]
    # Which candidate evidence asks about next, see icl_lib.thi.policies
    policy: Literal["best_first", "highest_posterior", "entropy", "rank1"]
    price: float | None = None  # the worth at which evidence stops; null: chosen on val
    look_alikes: bool  # an answer counts for pictures that look alike too
    # how much look-alikes of the believed pictures are raised; null: chosen on val
    spread: float | None = Field(default=None, ge=0)
    # null: Algorithm 1 as published; the others are explained in notebook 06
    variant: Literal["argmax", "soft", "gate", "second_look", "adding"] | None = None

    @model_validator(mode="after")
    def _rounds_within_trace(self):
        if self.k_max < self.K:
            raise ValueError(
                f"K={self.K} needs a trace at least as deep: set k_max={self.K} too "
                f"(now {self.k_max})"
            )
        if self.rule == "evidence" and self.variant is not None:
            raise ValueError(
                f"variant={self.variant} changes Algorithm 1, but rule=evidence takes its place: "
                "set rule=algorithm1, or no variant"
            )
        return self
