"""WHERE examples come from: a file here is a data source, `load(config) -> Dataset`."""
