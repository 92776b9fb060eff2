"""Whether a tokenizer belongs to the weights: what both folders say, for an id means a word to the encoder alone.

Told by the ids of special tokens in the weights' config.json, by the tokenizer that lies beside the weights, and, of a
run's model/, by the checksum in model.json. Where there is none of these, a vocabulary of the same size, or a smaller
one, with the same special ids stays unnoticed: nothing in the weights shows which word a row of the embeddings is.
"""

from pathlib import Path

from tljax.core.errors import WeightsError
from tljax.data.tokenizer import Tokenizer, files
from tljax.weights import cards

# Of all ids, may mean other words: BERT leaves 994 of its 30,522 unused, for words of one's own.
OTHER = 0.1
SHOWN = 3  # differences in a message


def check(tokenizer: Tokenizer, weights: Path) -> tuple[str, ...]:
    """What there is to say of a tokenizer for the weights in the folder `weights`.

    Raises:
      WeightsError: it is not theirs.
    """
    _same_special(tokenizer, weights)
    if (weights / "model.json").is_file():
        same_checksum(tokenizer, cards.load(weights / "model.json").get("input", {}).get("vocabulary", ""))
    if tokenizer.folder.resolve() == weights.resolve() or not files(weights):
        return ()
    return _same_words(tokenizer, Tokenizer(weights))


def same_checksum(tokenizer: Tokenizer, held: str) -> None:
    """Raise WeightsError where the words are not those of the checksum `held`; "" is of a run that kept none."""
    if held and tokenizer.checksum != held:
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must be that of the run: the checksum of its words is "
            f"{tokenizer.checksum[:12]}..., and model.json holds {held[:12]}.... Put the run's own files back."
        )


def _same_special(tokenizer: Tokenizer, weights: Path) -> None:
    """Hold special tokens to the config.json beside the weights, where both name their ids."""
    config = weights / "config.json"
    said = cards.load(config) if config.is_file() else {}
    wrong = [
        f"{key} {found} ('{tokenizer.words.get(found)}'), and there {said[key]}"
        for key, found in tokenizer.special.items()
        if isinstance(said.get(key), int) and said[key] != found
    ]
    if wrong:
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must belong to the weights; '{config}' has other ids for special "
            f"tokens: {'; '.join(wrong)}. Set config.model.tokenizer to the folder of theirs."
        )


def _same_words(tokenizer: Tokenizer, own: Tokenizer) -> tuple[str, ...]:
    """Compare it with the tokenizer beside the weights, id by id."""
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
    found = f"; {shown}" if shown else ""
    counted = f"{len(other):,} ids mean other words, {len(alone):,} are in one of the two alone{found}"
    return (f"tokenizer: not the one beside the weights: {counted}",) if other or alone else ()
