"""Check that a tokenizer belongs to the weights: weights do not show which word an id means.

The check compares the ids of special tokens in the weights' config.json, the tokenizer beside the weights, and, for a
run's model/, the checksum in model.json. Without any of these, a wrong vocabulary of the same size, or a smaller one,
with the same special ids is not found.
"""

from pathlib import Path

from tljax.core.errors import WeightsError
from tljax.data.tokenizer import Tokenizer, files
from tljax.weights import cards

# The share of ids that may mean other words: BERT leaves 994 of its 30,522 ids unused, for the user's own words.
OTHER = 0.1
SHOWN = 3  # differences in a message


def check(tokenizer: Tokenizer, weights: Path) -> tuple[str, ...]:
    """Notes about a tokenizer for the weights in the folder `weights`.

    Raises:
      WeightsError: the tokenizer does not belong to these weights.
    """
    _same_special(tokenizer, weights)
    if (weights / "model.json").is_file():
        same_checksum(tokenizer, cards.load(weights / "model.json").get("input", {}).get("vocabulary", ""))
    if tokenizer.folder.resolve() == weights.resolve() or not files(weights):
        return ()
    return _same_words(tokenizer, Tokenizer(weights))


def same_checksum(tokenizer: Tokenizer, recorded: str) -> None:
    """Raise WeightsError if the words do not have the checksum `recorded`; "": the run has no checksum."""
    if recorded and tokenizer.checksum != recorded:
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must be that of the run: the checksum of its words is "
            f"{tokenizer.checksum[:12]}..., and model.json holds {recorded[:12]}.... Put the run's own files back."
        )


def _same_special(tokenizer: Tokenizer, weights: Path) -> None:
    """Compare special tokens with the config.json beside the weights, if both have their ids."""
    config = weights / "config.json"
    content = cards.load(config) if config.is_file() else {}
    wrong = [
        f"{key} {number} ('{tokenizer.words.get(number)}'), and there {content[key]}"
        for key, number in tokenizer.special.items()
        if isinstance(content.get(key), int) and content[key] != number
    ]
    if wrong:
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must belong to the weights; '{config}' has other ids for special "
            f"tokens: {'; '.join(wrong)}. Set config.model.tokenizer to the folder of theirs."
        )


def _same_words(tokenizer: Tokenizer, own: Tokenizer) -> tuple[str, ...]:
    """Compare the tokenizer with the one beside the weights, id by id."""
    shared = sorted(tokenizer.words.keys() & own.words.keys())
    other = [i for i in shared if tokenizer.words[i] != own.words[i]]
    alone = tokenizer.words.keys() ^ own.words.keys()
    shown = ", ".join(f"{i} is '{tokenizer.words[i]}', there '{own.words[i]}'" for i in other[:SHOWN])
    if len(other) > OTHER * len(shared):
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must belong to the weights; beside them in '{own.folder}' lies one "
            f"in which {len(other):,} of {len(shared):,} ids mean other words: {shown}. Leave config.model.tokenizer "
            f"empty, or remove the other tokenizer's files if it is the wrong one."
        )
    examples = f"; {shown}" if shown else ""
    counted = f"{len(other):,} ids mean other words, {len(alone):,} are in one of the two alone{examples}"
    return (f"tokenizer: not the one beside the weights: {counted}",) if other or alone else ()
