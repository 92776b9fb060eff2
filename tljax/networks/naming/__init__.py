"""Tables of published names that are too long for a family's file: rows of `types.Name` for sizes, and nothing else."""
