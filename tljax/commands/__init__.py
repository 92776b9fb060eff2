"""The verbs of `tljax VERB`, and of `python -m tljax VERB`: a file here is a verb, `main(arguments)`.

Words of the command line go in; lines on the terminal and files come out, and an exit code where something fails.
Nothing in here may compute what a run computes: a verb reads its flags, calls what stands below and says the result.
"""
