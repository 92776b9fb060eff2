"""Masks of pictures as files: which mask belongs to which picture, and what its values mean."""
