"""Serving: use the model of a finished run for predictions, exports and the next transfer.

This room holds the folder `model/`, predictions, files for other programs, and checks of published files.
A run folder goes in; answers and files come out. Nothing in this room may train, or execute the content of a folder.
"""
