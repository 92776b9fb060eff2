"""Writers, one file each, named in `config.writers`: where the numbers of a run go. metrics.jsonl is always written.

A file here is `tljax.reporting.writer.Starts`. The packages of others are
imported inside of it, so that a run needs only those it names.
"""
