"""WHAT computes: backbones as ordered lists of named stages, and the layers that they share.

In here: `families` (plugins, a file a model family), blocks and layers that several families use, and `network`, which
puts a task's head on a backbone. Normalised arrays go in, features or logits come out; modules are pure Flax linen.
Nothing in here may read a file, a config or a weight, or know a data set.
"""
