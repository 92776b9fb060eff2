"""The strategy that two facts ask for: how many examples there are, and how well frozen features tell them apart.

                similar                         different
  little        a new classifier                the last stages and the classifier
  much          all, early stages slower        all, at one rate; with very much, from random weights

The table is that of Stanford's CS231n, "Transfer Learning". For a different task and little data it has two ways:
a classifier on earlier layers' features, or few late layers that learn; here the second. Which strategy a cell means
and where it begins are keys, config.strategy.auto.

Similar: the accuracy of every training example's 5 nearest others among the pretrained features, by cosine, on a scale
on which naming the largest class always is 0 and no error is 1 (Cohen 1960 for a constant rater). It is high too where
any features would do, pixels even: then there is indeed little to gain from learning features.

This file has `choose` in the place of `plan`: a run decides once, keeps the decision, and is one of that strategy.
"""

from ml_collections import ConfigDict

from tljax.core.options import POSITIVE, Option, Rule
from tljax.transfer.transferability import Facts

PRETRAINED = True
SIMILAR: Rule = ("in [0, 1]", lambda x: 0 <= x <= 1)
OPTIONS = {
    "auto.much": Option(200.0, "Training examples a class from which data are much.", POSITIVE),
    "auto.very_much": Option(5000.0, "And very much.", POSITIVE),
    "auto.similar": Option(0.7, "From which similarity on (0: chance, 1: no error).", SIMILAR),
    "auto.little_similar": Option("linear_probe", "Strategy of this cell; further keys are those of the strategy."),
    "auto.little_different": Option("last_k", "The same."),
    "auto.much_similar": Option("layer_decay", "The same."),
    "auto.much_different": Option("full", "The same."),
    "auto.very_much_different": Option("scratch", "The same."),
}
CELLS = ("little_similar", "little_different", "much_similar", "much_different", "very_much_different")


def uses(config: ConfigDict) -> tuple[str, ...]:
    """The strategies that the cells name, whose options are this one's too."""
    return tuple(dict.fromkeys(config.auto[cell] for cell in CELLS))


def choose(facts: Facts, config: ConfigDict) -> str:
    """The cell of the table, a key of `config.auto` and one of CELLS."""
    if facts.similarity >= config.auto.similar:
        return "much_similar" if facts.per_class >= config.auto.much else "little_similar"
    if facts.per_class >= config.auto.very_much:
        return "very_much_different"
    return "much_different" if facts.per_class >= config.auto.much else "little_different"


def condition(cell: str, config: ConfigDict) -> str:
    """When a cell is chosen, for people."""
    much, very_much, similar = config.auto.much, config.auto.very_much, config.auto.similar
    amounts = {
        "little": f"< {much:g}",
        "much": f">= {much:g}" if cell == "much_similar" else f"{much:g} to {very_much:g}",
        "very_much": f">= {very_much:g}",
    }
    amount, _, kind = cell.rpartition("_")
    return f"{amounts[amount]} a class, similarity {'>=' if kind == 'similar' else '<'} {similar:g}"
