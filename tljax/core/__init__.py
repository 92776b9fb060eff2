"""The base that every other room imports.

This room holds the nouns of the flow (`types`, `experiment`), trees of arrays, errors with their exit codes, signals,
the lookup of plugins and their options, the config and its overrides, layer groups, downloads, atomic writing of
files, and the reading of files from strangers. Plain values go in and come out. Nothing in this room may import another
room, know a network or a data set, or print.
"""
