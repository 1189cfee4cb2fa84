"""Interactive search: a person and the MLLM look for someone in a gallery of pictures."""
