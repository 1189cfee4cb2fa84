"""Reorganisation data augmentation (RDA): captions enriched, decomposed, rewritten, reorganised."""

from icl_lib.data.augment import reorganise as draw
from icl_lib.rda.augment import augment
from icl_lib.rda.diversity_file import read_diversity, write_diversity
from icl_lib.rda.filter import sub_sentences, without_least

__all__ = ["augment", "draw", "read_diversity", "sub_sentences", "without_least", "write_diversity"]
