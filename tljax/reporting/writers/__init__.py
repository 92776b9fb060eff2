"""Where the numbers of a run go: one file a writer, named in `config.writers`; metrics.jsonl is always written.

A file here has one function, `start(about: About) -> Writer`: see `tljax.reporting.writer`. The packages of others are
imported inside of it, so that a run needs only those it names.
"""
