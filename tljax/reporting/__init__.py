"""What a person sees of a run: lines, tables, figures, and the files that stay.

In here: `writers` (plugins: where the numbers of a run go), the terminal, the report of a run folder, charts and
figures, and the statistics that tables show.
Numbers go in; text and files come out. Nothing in here may compute what it prints, or change a run.
"""
