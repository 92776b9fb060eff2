"""The ground that every room stands on.

In here: the nouns of the flow (`types`, `experiment`), trees of arrays, errors with their exit codes, the lookup of
plugins, files that are written whole or not at all, the config and its overrides, downloads, and layer groups.
It takes plain values and gives plain values. Nothing in here may import another room, know a network or a data set,
or print.
"""
