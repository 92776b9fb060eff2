"""HOW a pretrained network is fitted to new data: which groups learn, how fast, and what joins the loss.

In here: `strategies` and `adaptation` (plugins), what a strategy does besides its plan (`method`), parameters that it
adds, the features of two domains brought together, and scores of frozen features.
Parameters and groups go in; phases, changed parameters and terms of the loss come out, all pure functions.
Nothing in here may step, log or write.
"""
