"""WHERE examples come from, and how a batch of them is made.

In here: `sources`, `inputs` and `builders` (plugins: where examples lie, what a network sees of them, how TFDS sets are
prepared), splits and domains, labels, reading of pictures and texts, and the batch at step t.
The data part of a config goes in; examples by position, and batches of numpy arrays, come out.
Nothing in here may know a network's parameters or a strategy.
"""
