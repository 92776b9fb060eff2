"""Guess which key of a config a wrong name means: by meaning first, then by letters.

Other trainers have other names for the same settings. `words.py` holds these. The words of a name are compared with
the words of each phrase and of the key itself; their order and small typing errors do not matter.
"""

import difflib
import functools
import re
from collections.abc import Iterable

from tljax.core.near_names.words import ALSO_CALLED, EMPTY, WORDS

LEAST = 0.55  # the least likeness, between 0 and 1, for a suggestion


def near(name: str, known: Iterable[str]) -> str:
    """The key among `known` that is most like the name; "" if none is."""
    likeness = {key: _likeness(name, key) for key in known}
    best = max(likeness, key=lambda key: likeness[key], default="")
    return best if best and likeness[best] >= LEAST else ""


def by_letters(name: str, known: Iterable[str]) -> str:
    """The one of `known` that is most like the name by its letters; "" if none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " Did you mean ...?" for a name that is like one of `known` by its letters, else ""."""
    close = by_letters(name, known)
    return f" Did you mean '{close}'?" if close else ""


def _likeness(name: str, key: str) -> float:
    section, _, last = name.rpartition(".")
    own_section, _, own = key.rpartition(".")
    words = _words(last)
    phrases = [_words(own), *_phrases(key)]
    same = bool(section) and difflib.SequenceMatcher(None, section, own_section).ratio() > 0.7
    alone = max(_alike(words, phrase) for phrase in phrases)
    whole = max(_alike(_words(name), phrase) for phrase in phrases) if section else 0.0
    letters = difflib.SequenceMatcher(None, last.lower(), own).ratio()
    return max(alone, 0.9 * whole if whole > 0.8 else 0.0, 0.9 * letters if letters > 0.75 else 0.0) + 0.15 * same


@functools.cache
def _phrases(key: str) -> list[tuple[str, ...]]:
    return [_words(phrase) for phrase in ALSO_CALLED.get(key, "").split(",") if phrase.strip()]


@functools.cache
def _words(text: str) -> tuple[str, ...]:
    """The words of a name or a phrase, each replaced by its entry in `WORDS`."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+", text)]
    telling = [word for word in words if word not in EMPTY] or words
    return tuple(WORDS.get(word) or word for word in telling)


@functools.cache
def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """The share of words that two names have in common, 1 if they are equal; a word with a typing error counts less."""
    if not one or not other:
        return 0.0
    shared = sum(max(_same(word, theirs) for theirs in other) for word in one)
    joined = difflib.SequenceMatcher(None, "".join(one), "".join(other)).ratio()
    return max(2 * min(shared, len(other)) / (len(one) + len(other)), 0.97 * joined if joined > 0.75 else 0.0)


@functools.cache
def _same(word: str, other: str) -> float:
    if word == other:
        return 1.0
    ratio = difflib.SequenceMatcher(None, word, other).ratio()
    return 0.9 * ratio if ratio >= 0.75 else 0.0
