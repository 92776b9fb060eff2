"""HOW MUCH each group learns, and when: a file here is a strategy, see `tljax.transfer.method`."""
