"""WHAT is asked: a file here is a task, with a head, a loss and metrics."""
