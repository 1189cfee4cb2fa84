"""Settings of a run of the whole demo that takes less than a minute."""

TINY = {
    "ids_train": 6,
    "ids_val": 3,
    "ids_test": 4,
    "backbone__epochs": 1,
    "warmup_epochs": 0,
    "sft__epochs": 1,
    "pairs": 12,
    "rewrites": 1,
    "k_max": 4,
    "K": 3,
}
