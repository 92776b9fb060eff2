"""Measurements of the devices: a trace of steps, and whether a program fits into memory."""
