"""Experiments: `default.py` holds every key, the others say what differs."""
