"""HOW MUCH each group learns, and when: a file here is a strategy, `plan(groups, config) -> phases`."""
