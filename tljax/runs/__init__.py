"""Whole experiments: one run, many side by side, and what they say together.

In here: reading all that a config names, the choice of a strategy, suites of rows and seeds, results and comparisons.
A config goes in; run folders and tables come out. Only `commands`, `cli` and `main.py` stand above.
"""
