"""From a folder, a table or the name of a config to a config with every key that an expert would set.

A path and the flags of the command line go in. `Given` comes out: a config that can be printed, saved and run again,
with notes of what was guessed and why. Nothing in this room may train, decode or write, or import a module that
computes; `runs` runs a config.
"""
