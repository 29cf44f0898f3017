"""A small language model of a generated scan and attention: `layers` in plain PyTorch, `hf` for transformers, `titan` for torchtitan."""
