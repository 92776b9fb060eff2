"""What a person gives, a folder, a table or the name of a config, becomes a config: every key that an expert would set.

In: a place, and the flags of the command line. Out: `Given`, a config that can be printed, saved and run again, with
what was guessed and why. Nothing is trained, decoded or written here, and nothing that computes is imported; what runs
a config is in `runs`.
"""
