"""The verbs of `python -m tljax VERB`: a file here is a verb, `main(arguments) -> exit code`."""
