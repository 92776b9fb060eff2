"""Texts as token ids: what the tokenizer says, padded by batch, kept by hash, cut and counted."""

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pytest

from configs import default
from tests import small
from tljax.core.errors import ConfigError, DataError
from tljax.data import tokens
from tljax.data.parts.subsets import Subset
from tljax.data.texts import Row, Texts
from tljax.data.tokenizer import Tokenizer
from tljax.data.tokens import Tokens


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def folder(tmp_path):
    """A tokenizer of whole words: [CLS] a text [SEP] another [SEP]."""
    return small.word_tokenizer(tmp_path / "tokenizer")


def subset(*texts, pairs=()):
    rows = [Row(text, pairs[i] if pairs else "", "ab"[i % 2], f"row {i}") for i, text in enumerate(texts)]
    split = Texts(rows, ("a", "b"))
    return Subset(split, np.arange(len(rows)), split.labels)


def make(folder, *texts, lengths=(4, 8), pairs=(), prefix=""):
    config = default.get_config().data
    config.lengths = lengths
    return Tokens(subset(*texts, pairs=pairs), config, Tokenizer(folder), prefix)


def test_a_batch_is_as_wide_as_its_longest_text_needs(folder):
    part = make(folder, "good", "very good book", "odd")
    assert part.lengths.tolist() == [3, 5, 3] and part.highest == 7 and part.cut == 0 and len(part) == 3
    narrow = part.take(np.array([2, 0]))
    np.testing.assert_array_equal(narrow["ids"], [[1, 3, 2, 0], [1, 4, 2, 0]])
    np.testing.assert_array_equal(narrow["tokens"], [[1, 1, 1, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(narrow["label"], [0, 0])
    wide = part.take(np.array([0, 1]))
    np.testing.assert_array_equal(wide["ids"], [[1, 4, 2, 0, 0, 0, 0, 0], [1, 6, 4, 7, 2, 0, 0, 0]])
    assert {key: wide[key].dtype for key in ("ids", "types", "tokens", "label")} == {
        "ids": np.int32, "types": np.int32, "tokens": np.bool_, "label": np.int32,
    }  # fmt: skip


def test_what_is_too_long_is_cut_and_counted(folder):
    part = make(folder, "very " * 2 + "good", "very very very good", "book " * 50, lengths=(3, 5))
    assert part.lengths.tolist() == [5, 5, 5] and part.cut == 2
    np.testing.assert_array_equal(part.take(np.array([1]))["ids"], [[1, 6, 6, 6, 2]])  # [SEP] stays


def test_pairs_have_two_types(folder):
    batch = make(folder, "good book", "bad", pairs=("very good", "")).take(np.array([0, 1]))
    np.testing.assert_array_equal(batch["ids"], [[1, 4, 7, 2, 6, 4, 2, 0], [1, 5, 2, 2, 0, 0, 0, 0]])
    np.testing.assert_array_equal(batch["types"], [[0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 0, 0, 0, 0]])


def test_kept_by_hash_and_made_again_where_damaged(folder, cache, monkeypatch):
    first = make(folder, "good", "bad book")
    (file,) = cache.iterdir()
    calls = []
    call = Tokenizer.__call__
    monkeypatch.setattr(Tokenizer, "__call__", lambda *args: calls.append(1) or call(*args))
    again = make(folder, "good", "bad book")
    assert calls == [] and again.fingerprint() == first.fingerprint() and again.cut == first.cut
    for other in (("good", "bad books"), ("bad book", "good")):
        make(folder, *other)
    make(folder, "good", "bad book", lengths=(4, 9))
    assert len(calls) == 3 and len(list(cache.iterdir())) == 4
    for number, content in enumerate((file.read_bytes()[:-40], b"", b"PK", b"\x93NUMPY" + bytes(200)), start=4):
        file.write_bytes(content)
        with pytest.warns(UserWarning, match=f"{file.name}' are damaged .*they are made again"):
            assert make(folder, "good", "bad book").fingerprint() == first.fingerprint()
        assert len(calls) == number
    config = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(config + "\n")  # another tokenizer is another key
    make(folder, "good", "bad book")
    assert len(calls) == 8


def test_the_fingerprint_is_of_ids_and_labels(folder):
    prints = {make(folder, *texts).fingerprint() for texts in (("good", "bad"), ("bad", "good"), ("good",))}
    assert len(prints) == 3
    assert make(folder, "odd", "bad").fingerprint() == make(folder, "strange", "bad").fingerprint()  # both [UNK]


def test_the_longest_length_holds_a_text_and_what_the_tokenizer_adds(folder):
    for lengths, pairs, least in (((1,), (), 3), ((1, 2), (), 3), ((2, 4), ("bad",), 5)):
        with pytest.raises(ConfigError, match=rf"The last of config\.data\.lengths must hold a text: {least} tokens"):
            make(folder, "good", lengths=lengths, pairs=pairs)
    assert make(folder, "good", lengths=(1, 3)).take(np.array([0]))["ids"].shape == (1, 3)
    assert make(folder, "good", lengths=(5,), pairs=("bad",)).take(np.array([0]))["ids"].shape == (1, 5)


def test_ids_that_no_disk_takes_are_made_again_and_that_is_said(folder, cache):
    cache.parent.mkdir()
    cache.write_text("")  # a file where the folder must be
    with pytest.warns(UserWarning, match="Token ids are not kept, .* a file stands where a folder must be"):
        part = make(folder, "good")
    assert part.take(np.array([0]))["ids"].tolist() == [[1, 4, 2, 0]]


def test_a_text_without_tokens(folder, monkeypatch):
    monkeypatch.setattr(Tokenizer, "__call__", lambda *_: ([[1, 2], []], [[0, 0], []], 0))
    with pytest.raises(DataError, match="1 have none .*: row 1"):
        make(folder, "good", "\x1a")
    assert not tokens.folder().exists()


def test_of_pairs_the_longer_text_is_cut_first_and_counted(folder):
    """[CLS] 5 [SEP] 1 [SEP] are 9 tokens: of 6, the first text keeps 2; 3 and 4 texts of 10 keep 1 and 2 or 2 and 1."""
    part = make(folder, "very very very very book", "good", pairs=("bad", "book"), lengths=(6,))
    np.testing.assert_array_equal(part.take(np.array([0]))["ids"], [[1, 6, 6, 2, 5, 2]])
    assert part.cut == 1 and part.lengths.tolist() == [6, 5]


def test_pairs_are_kept_by_both_texts(folder, cache):
    one = make(folder, "good", pairs=("bad",), lengths=(8,))
    for first, second in (("good", "book"), ("bad", "good"), ("good bad", "")):
        assert make(folder, first, pairs=(second,), lengths=(8,)).fingerprint() != one.fingerprint()
    assert len(list(cache.iterdir())) == 4
    assert make(folder, "good", pairs=("bad",), lengths=(8,)).fingerprint() == one.fingerprint()
    assert len(list(cache.iterdir())) == 4


def test_a_prefix_stands_before_every_text_also_before_both_of_a_pair(folder):
    with_prefix, without = make(folder, "good", "bad", prefix="very "), make(folder, "very good", "very bad")
    np.testing.assert_array_equal(with_prefix.take(np.array([0, 1]))["ids"], without.take(np.array([0, 1]))["ids"])
    pairs = make(folder, "good", "bad", pairs=("book", "book"), prefix="very ")
    expected = make(folder, "very good", "very bad", pairs=("very book", "very book"))
    assert pairs.fingerprint() == expected.fingerprint()
    with pytest.raises(ConfigError, match=r"must hold a text: 5 tokens at least, .* config\.data\.prefix; got \(4,\)"):
        make(folder, "good", lengths=(4,), prefix="very very ")
