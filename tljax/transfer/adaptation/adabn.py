"""AdaBN (Li et al. 2016): learn from the source alone, and evaluate with the target's BatchNorm statistics.

Nothing is added to the loss. At every evaluation, and for model/, the mean and variance of every BatchNorm, frozen ones
too, are measured over the unlabelled examples: the equal means of the batches' statistics, as after SWA. All parts are
evaluated with these, also the source's own test part, which is then the other domain: expect it to fall.

`adaptation.weight` and `adaptation.ramp` have no effect. Features of frozen stages cannot be cached: their statistics
change with the target.
"""

USES = "statistics"
