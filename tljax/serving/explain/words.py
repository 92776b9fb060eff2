"""Which words of a text a prediction rests on: how much its probability, or its number, falls without them."""

import re
from typing import NamedTuple

import numpy as np

from tljax.serving.predictor import Predictor

MOST = 48  # pieces that a text is cut into; of a longer one several words together


class Piece(NamedTuple):
    """Some words of a text."""

    text: str  # with the spaces behind them
    effect: float  # the probability (or number) of the whole text, less that without these words


def of(predictor: Predictor, text: str, number: int) -> list[Piece]:
    """What each piece of a text adds to output `number`, a probability or a number.

    A piece without which nothing would be left adds 0.

    Args:
      text: as `tljax predict` takes it; of a pair with a tab between.
    """
    pieces = _pieces(text)
    without = ["".join(pieces[:i] + pieces[i + 1 :]) for i in range(len(pieces))]
    found = [answer for _, answer in predictor.answers([text, *without])]
    if isinstance(found[0], ValueError):
        raise found[0]
    whole = float(found[0][number])
    effects = [0.0 if isinstance(one, ValueError) else whole - float(np.asarray(one)[number]) for one in found[1:]]
    return [Piece(piece, effect) for piece, effect in zip(pieces, effects, strict=True)]


def _pieces(text: str) -> list[str]:
    """Words with the spaces behind them; joined, they are the text. No piece goes over the tab between a pair."""
    words = [word for part in re.split(r"(\t)", text) for word in re.findall(r"\s*\S+\s*|\s+", part)]
    together = -(-len(words) // MOST)
    pieces, some = [], []
    for word in words:
        if word == "\t":
            pieces, some = [*pieces, "".join(some), word] if some else [*pieces, word], []
            continue
        some.append(word)
        if len(some) == together:
            pieces, some = [*pieces, "".join(some)], []
    return [*pieces, "".join(some)] if some else pieces
