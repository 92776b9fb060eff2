"""Formats of weight files, one file each: it defines `SUFFIXES`, `begins(head)` and `read(path)`."""
