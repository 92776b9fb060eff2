"""Choose the strategy by two facts: the number of examples, and how well frozen features separate the classes.

                similar                         different
  little        a new classifier                the last stages and the classifier
  much          all, early stages slower        all, at one rate; with very much, from random weights

The table is that of Stanford's CS231n, "Transfer Learning". For a different task and little data, it gives two ways: a
classifier on the features of earlier layers, or training of a few late layers; we use the second. The strategy of each
cell, and the limits between cells, are keys: config.strategy.auto.

Similarity is the accuracy of a 5-nearest-neighbour classifier (cosine) among the pretrained features of the training
examples, scaled so that always predicting the largest class gives 0, and no error gives 1 (Cohen 1960 for a constant
rater). It is also high if any features would do, even pixels: then learning features indeed gains little.

This file has `choose` instead of `plan`: a run decides once, saves the decision, and is then a run of that strategy.
"""

from ml_collections import ConfigDict

from tljax.core.options import POSITIVE, Option, Rule
from tljax.transfer.transferability import Facts

PRETRAINED = True
SIMILAR: Rule = ("in [0, 1]", lambda x: 0 <= x <= 1)
OPTIONS = {
    "auto.much": Option(200.0, "Training examples for each class from which data are 'much'.", POSITIVE),
    "auto.very_much": Option(5000.0, "Training examples for each class from which data are 'very much'.", POSITIVE),
    "auto.similar": Option(0.7, "The task is similar from this similarity on (0: chance, 1: no error).", SIMILAR),
    "auto.little_similar": Option("linear_probe", "Strategy of this cell; its own keys may be set too."),
    "auto.little_different": Option("last_k", "The same."),
    "auto.much_similar": Option("layer_decay", "The same."),
    "auto.much_different": Option("full", "The same."),
    "auto.very_much_different": Option("scratch", "The same."),
}
CELLS = ("little_similar", "little_different", "much_similar", "much_different", "very_much_different")


def uses(config: ConfigDict) -> tuple[str, ...]:
    """The strategies that the cells name; their options may be set too."""
    return tuple(dict.fromkeys(config.auto[cell] for cell in CELLS))


def choose(facts: Facts, config: ConfigDict) -> str:
    """The cell of the table, a key of `config.auto` and one of CELLS."""
    if facts.similarity >= config.auto.similar:
        return "much_similar" if facts.per_class >= config.auto.much else "little_similar"
    if facts.per_class >= config.auto.very_much:
        return "very_much_different"
    return "much_different" if facts.per_class >= config.auto.much else "little_different"


def condition(cell: str, config: ConfigDict) -> str:
    """The condition for a cell, for the user."""
    much, very_much, similar = config.auto.much, config.auto.very_much, config.auto.similar
    amounts = {
        "little": f"< {much:g}",
        "much": f">= {much:g}" if cell == "much_similar" else f"{much:g} to {very_much:g}",
        "very_much": f">= {very_much:g}",
    }
    amount, _, kind = cell.rpartition("_")
    return f"{amounts[amount]} a class, similarity {'>=' if kind == 'similar' else '<'} {similar:g}"
