"""What a finished run is good for: its model asked, exported, or read again.

In here: the folder `model/`, predictions, files for other programs, and published files looked into.
A run folder goes in; answers and files come out. Nothing in here may train, or execute what a folder contains.
"""
