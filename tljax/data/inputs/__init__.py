"""WHAT a network sees: examples of every part, and how a batch of them becomes its input."""
