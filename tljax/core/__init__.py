"""The ground that every room stands on.

In here: the nouns of the flow (`types`, `experiment`), trees of arrays, errors with their exit codes, signals, the
lookup of plugins and their options, the config and its overrides, layer groups, downloads, files that are written whole
or not at all, and how what others wrote is read.
It takes plain values and gives plain values. Nothing in here may import another room, know a network or a data set,
or print.
"""
