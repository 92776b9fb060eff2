"""Transfer: how a pretrained network is fitted to new data. Which groups learn, how fast, and with which loss terms.

This room holds `strategies` and `adaptation` (plugins), the functions of a strategy (`method`), parameters that a
strategy adds, alignment of the features of two domains, and transferability scores of frozen features.
Parameters and groups go in; phases, changed parameters and terms of the loss come out. All functions are pure.
Nothing in this room may take training steps, log or write.
"""
