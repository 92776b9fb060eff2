"""Names that a person takes for one are found, and names that only look alike to a program are not."""

import random

import pytest

from tljax.core.errors import DataError
from tljax.data import spelling

SAME = [
    ("1", "1.0", "01", "+1", "1e0", " 1 ", "1.", "\uff11"),
    ("Pos", "pos", "POS", "pos ", "\tpos", "p\u200bos", "\ufeffpos", "po\u00ads"),
    ("caf\u00e9", "cafe\u0301", "CAFE\u0301"),
    ("hot dog", "hot\u00a0dog", "hot  dog", "hot\u3000dog"),
    ("0", "00", "-0", "0.0", "000"),
    ("True", "true"),
    ("stra\u00dfe", "STRASSE"),
    ("0,5", "0.5", "00,5"),
    ("1,000", "1000", "1000.0"),
]
OTHER = [
    "1",
    "10",
    "-1",
    "1.5",
    "11",
    "one",
    "a",
    "b",
    "a-",
    "a+",
    "hot dog",
    "hotdog",
    "",
    "nan",
    "inf",
    "1e9999999",
    "c#",
    "c",
]


@pytest.mark.parametrize("names", SAME, ids=lambda names: ascii(names[0]))
def test_what_a_person_takes_for_one(names):
    assert len({spelling.key(name) for name in names}) == 1


def test_what_a_person_tells_apart():
    assert len({spelling.key(name) for name in OTHER}) == len(OTHER)


def test_the_order_is_that_of_numbers_before_words():
    expected = ("-2", "0", "1", "1.5", "2", "10", "100000000000000000000000000001", "B", "a", "a10", "a2")
    for seed in range(5):
        names = list(expected)
        random.Random(seed).shuffle(names)
        assert spelling.ordered(names) == expected


def test_the_most_frequent_spelling_stands_for_the_class():
    same, notes = spelling.classes({"pos": 2, "Pos": 5, "neg": 1, "POS": 5}, "here", "merge")
    assert same == {"pos": "POS", "Pos": "POS", "POS": "POS", "neg": "neg"} and "(5, 5, 2 examples)" in notes[0]
    assert spelling.classes({"pos": 2, "Pos": 5}, "here", "keep") == ({"pos": "pos", "Pos": "Pos"}, ())
    assert spelling.classes({"a": 1, "b": 1}, "here", "error") == ({"a": "a", "b": "b"}, ())


def test_many_pairs_are_cut_and_counted():
    counts = {name: 1 for i in range(14) for name in (f"a{chr(97 + i)}", f"A{chr(97 + i)}")}
    with pytest.raises(DataError, match=r"'Aa' and 'aa' \(1, 1 examples\); .*; and 4 more\. Correct them"):
        spelling.classes(counts, "here", "error")
