"""Data: where examples come from, and how batches are made.

This room holds `sources`, `inputs` and `builders` (plugins: where examples lie, how they become a network's input, how
TFDS sets are prepared), splits and domains, labels, reading of pictures and texts, and the batch at step t.
`config.data` goes in; examples by position, and batches of numpy arrays, come out.
Nothing in this room may know a network's parameters or a strategy.
"""
