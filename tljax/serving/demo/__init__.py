"""A page on this machine that asks a finished run: `tljax demo RUN`.

A loaded model goes in; answers, explanations and the nearest training examples come out, as a page shows them.
Nothing in here listens on any other address than 127.0.0.1, or keeps what was asked.
"""
