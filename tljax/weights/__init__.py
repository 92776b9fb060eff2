"""Pretrained weights: where they come from, and how they become the parameters of a network.

This room holds `sources`, `formats` and `spellings` (plugins: where a file lies, how it is read, how another library
names its tensors), `zoo` (cards of published weights), and the steps between a file and a network: cards, the lock
file, name tables, layouts of axes. `config.model.weights` goes in; arrays under the family's names and their card come
out. Nothing in this room may train, evaluate, or execute anything that a file of weights contains.
"""
