"""States on disk: `checkpoint` for one process, `shared` for a run of several, of which process 0 writes."""
