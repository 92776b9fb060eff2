"""Heads that answer with the class of every pixel: {stage: output} -> logits (B, h, w, K), coarser than the picture."""
