"""HOW MUCH each group learns, and when: a file here is a `transfer.strategy.Strategy`."""
