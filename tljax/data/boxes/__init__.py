"""Annotated pictures: what the sources of boxes share. A source reads one format; the checks here are the same."""
