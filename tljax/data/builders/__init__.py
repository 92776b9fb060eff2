"""Our own TFDS builders, which do not need TensorFlow; the name of a file here is the name of a TFDS set.

Each has `VERSION`, `url()` (the address of the archive), `archive(root)` (its path under the TFDS directory `root`)
and `prepare(root)` (download if necessary, check, and write `root/<name>/<VERSION>`, whole or not at all).
Names, versions, features and order are those of TFDS's builder of the same name: each can read the other's files.
"""
