"""Kinds of input, one file each: the examples of every part, and how a batch of them becomes a network's input."""
