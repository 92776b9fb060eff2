"""HOW the arrays of a file are read: a file here is a format, `SUFFIXES`, `begins(head)` and `read(path)`."""
