"""Strategies, one file each: which groups learn, how fast, and when; see `tljax.transfer.method`."""
