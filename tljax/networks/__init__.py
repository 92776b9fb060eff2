"""The networks: backbones as ordered lists of named stages, and the layers that they share.

This room holds `families` (plugins, one file for each model family), blocks and layers that several families use, and
`network`, which puts a task's head on a backbone. Normalised arrays go in, features or logits come out; modules are
pure Flax linen. Nothing in this room may read a file, a config or weights, or know a data set.
"""
