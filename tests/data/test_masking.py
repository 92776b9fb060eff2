"""Hidden tokens: how many, which, and what stands there; the draws given by a key, and their shares over many."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from tljax.data.masking import Vocabulary, hide, numbers

SPECIAL, MASK = (0, 1, 2, 3, 4), 4  # padding, [CLS], [SEP], unknown, [MASK]
VOCABULARY = Vocabulary(size=60, mask=MASK, special=SPECIAL, continues=tuple(range(40, 60)))
TOKENS = ConfigDict({"mask_share": 0.15, "whole_words": False})
WORDS = ConfigDict({"mask_share": 0.15, "whole_words": True})
KEY = jax.random.key(7)


def texts(lengths, width):
    """[CLS], words, [SEP], padding; every ninth token is unknown."""
    rng = np.random.default_rng(0)
    ids = np.zeros((len(lengths), width), np.int32)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = rng.integers(5, 60, length)
        row[4:length:9] = 3
        row[0], row[length - 1] = 1, 2
    mask = np.arange(width) < np.array(lengths)[:, None]
    return {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}


def hidden(x, config=TOKENS, key=KEY, position=None):
    position = np.arange(len(x["ids"]), dtype=np.int32) if position is None else position
    found = jax.jit(lambda *given: hide(*given, VOCABULARY, config))(x, key, position)
    return {name: np.asarray(array) for name, array in found.items()}


def chosen(found, row):
    return found["places"][row][found["weight"][row] > 0]


def test_as_many_as_the_length_gives_and_at_least_one():
    assert numbers(20, 0.15).tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3]
    x = texts((64, 40, 12, 3), 64)
    found = hidden(x)
    for row, ids in enumerate(x["ids"]):
        may = sum(token not in SPECIAL for token in ids)
        places, number = chosen(found, row), numbers(64, 0.15)[may]
        assert len(set(places.tolist())) == len(places) == number
        np.testing.assert_array_equal(found["weight"][row][:number], np.float32(1) / np.float32(number))
    assert [len(chosen(found, row)) for row in range(4)] == [8, 5, 1, 1]


def test_special_tokens_and_padding_are_never_chosen_and_nothing_else_changes():
    x = texts((64, 40, 12, 3) * 50, 64)
    found, counts = hidden(x), np.zeros(64, int)
    for row, ids in enumerate(x["ids"]):
        places = chosen(found, row)
        assert x["mask"][row, places].all() and not np.isin(ids[places], SPECIAL).any()
        rest = np.setdiff1d(np.arange(64), places)
        np.testing.assert_array_equal(found["ids"][row, rest], ids[rest])
        counts[places] += 1
    inside = [i for i in range(1, 63) if i % 9 != 4]
    assert (counts[inside] > 0).all()  # and every other place is, sometimes
    for name in ("mask", "types"):
        np.testing.assert_array_equal(found[name], x[name])


def test_a_text_of_special_tokens_alone_has_none():
    x = {"ids": np.array([[1, 3, 2, 0]], np.int32), "mask": np.array([[True] * 3 + [False]]), "types": np.zeros((1, 4))}
    found = hidden(x)
    assert found["weight"].tolist() == [[0.0]]
    np.testing.assert_array_equal(found["ids"], x["ids"])


def test_what_stands_there_is_as_drawn():
    """Given the key: places in the order of their numbers, [MASK] below 0.8, a token from there to 0.9."""
    x = texts((64,), 64)
    found = hidden(x, position=np.array([5], np.int32))
    for_places, for_kind, for_token = jax.random.split(jax.random.fold_in(KEY, 5), 3)
    score, kind = np.asarray(jax.random.uniform(for_places, (64,))), np.asarray(jax.random.uniform(for_kind, (10,)))
    may = np.flatnonzero(~np.isin(x["ids"][0], SPECIAL))
    places = may[np.argsort(-score[may])][:8]
    np.testing.assert_array_equal(chosen(found, 0), places)
    before, other = x["ids"][0, places], np.asarray(jax.random.randint(for_token, (10,), 0, 60))[:8]
    expected = np.where(kind[:8] < 0.8, MASK, np.where(kind[:8] < 0.9, other, before))
    np.testing.assert_array_equal(found["ids"][0, places], expected)


def test_shares_over_many_texts():
    """80 % [MASK], 10 % as they were, and what was drawn is any token: within four standard errors."""
    x = texts((64,) * 1000, 64)
    found = hidden(x)
    on = found["weight"] > 0
    before, after = (np.take_along_axis(ids, found["places"], 1)[on] for ids in (x["ids"], found["ids"]))
    n = on.sum()
    assert n == 8 * 1000
    for share, expected in (((after == MASK).mean(), 0.8 + 0.1 / 60), ((after == before).mean(), 0.1 + 0.1 / 60)):
        assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / n)
    drawn = after[(after != MASK) & (after != before)]
    assert len(np.unique(drawn)) == 59


def test_the_draw_depends_on_key_and_position_and_not_on_padding_or_neighbours():
    wide, narrow = texts((30, 20), 128), texts((30, 20), 32)
    found, same = hidden(wide), hidden(narrow)
    for row in range(2):
        np.testing.assert_array_equal(chosen(found, row), chosen(same, row))
    np.testing.assert_array_equal(found["ids"][:, :32], same["ids"])
    alone = hidden({name: v[1:] for name, v in narrow.items()}, position=np.array([1], np.int32))
    np.testing.assert_array_equal(alone["ids"][0], same["ids"][1])
    others = [hidden(narrow, key=jax.random.key(8)), hidden(narrow, position=np.array([2, 3], np.int32))]
    for other in others:
        assert any(chosen(other, row).tolist() != chosen(same, row).tolist() for row in range(2))


def test_whole_words_are_hidden_whole():
    x = texts((64, 40, 24) * 60, 64)
    found, hit = hidden(x, WORDS), 0
    for row, ids in enumerate(x["ids"]):
        words = np.cumsum(ids < 40)  # ids from 40 on go on with the word before
        places, may = chosen(found, row), ~np.isin(ids, SPECIAL) & x["mask"][row]
        assert len(places) <= numbers(64, 0.15)[may.sum()] and may[places].all()
        whole = np.flatnonzero(np.isin(words, words[places]) & may)
        assert sorted(places.tolist()) == whole.tolist()
        hit += len(places)
    assert hit > 0.6 * sum(numbers(64, 0.15)[(~np.isin(ids, SPECIAL)).sum()] for ids in x["ids"])


@pytest.mark.parametrize(("share", "expected"), [(0.6, {(1, 2), (3,)}), (0.9, {(1, 2, 3)})])
def test_a_word_that_would_be_too_much_is_left_out(share, expected):
    """[CLS] a ##b c [SEP]: of three tokens two are drawn, "a ##b" or c and half of it; three are all."""
    ids = np.array([[1, 10, 50, 20, 2]] * 40, np.int32)
    x = {"ids": ids, "mask": np.ones_like(ids, bool), "types": np.zeros_like(ids)}
    config = ConfigDict({"mask_share": share, "whole_words": True})
    found = hidden(x, config)
    sets = {tuple(sorted(chosen(found, row).tolist())) for row in range(40)}
    assert sets == expected
