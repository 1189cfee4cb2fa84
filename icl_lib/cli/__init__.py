"""The `icl` command: runs notebooks, lists them, checks data sets, trains on several GPUs."""
