"""Reporting: lines, tables, figures and files of a run for the user.

This room holds `writers` (plugins: where the numbers of a run go), the terminal, the report of a run folder, charts and
figures, and the statistics that tables show.
Numbers go in; text and files come out. Nothing in this room may compute the numbers that it prints, or change a run.
"""
