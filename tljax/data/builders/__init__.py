"""TFDS builders of our own that prepare without TensorFlow; a file name here is a TFDS name.

Each has `VERSION`, `url()` (what it downloads), `archive(root)` (where that is kept under the TFDS
directory `root`) and `prepare(root)` (download if need be, check, write `root/<name>/<VERSION>`, whole or not at all).
Names, versions, features and order are those of the TFDS builder of that name, so either reads the other's files.
"""
