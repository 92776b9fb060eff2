"""Whole experiments: one run, or many runs side by side and their comparison.

This room holds the reading of everything that a config names, the choice of a strategy, suites of rows and seeds,
results and comparisons. A config goes in; run folders and tables come out. Nothing in this room may parse a command
line.
"""
