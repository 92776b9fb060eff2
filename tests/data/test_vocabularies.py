"""Tokenizers and weights that do not belong together: what shows it, and what cannot."""

import json
import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

from tests import small
from tljax.core.errors import WeightsError
from tljax.data import vocabularies
from tljax.data.tokenizer import Tokenizer


@pytest.fixture
def folder(tmp_path):
    """Weights' own: a tokenizer and a config.json."""
    place = small.word_tokenizer(tmp_path / "weights")
    (place / "config.json").write_text(json.dumps({"model_type": "bert", "pad_token_id": 0}))
    return place


def other(place, **ids):
    """A tokenizer of as many words, those named with other ids."""
    place = small.word_tokenizer(place)
    file = place / "tokenizer.json"
    said = json.loads(file.read_text())
    said["model"]["vocab"] |= ids
    said["added_tokens"] = [row for row in said["added_tokens"] if row["content"] not in ids]
    file.write_text(json.dumps(said))
    return Tokenizer(place)


def test_the_weights_own_tokenizer_is_theirs(folder):
    assert vocabularies.check(Tokenizer(folder), folder) == ()


def test_the_same_words_from_another_folder_are_no_difference(folder, tmp_path):
    assert vocabularies.check(other(tmp_path / "other"), folder) == ()


def test_as_many_words_of_other_ids_beside_the_weights_own(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"2 of 8 ids mean other words: 4 is 'bad', there 'good', 5 is 'good', th"):
        vocabularies.check(other(tmp_path / "other", good=5, bad=4), folder)


def test_a_few_words_of_ones_own_are_said(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabularies, "OTHER", 0.25)
    (note,) = vocabularies.check(other(tmp_path / "other", good=5, bad=4, film=8), folder)
    assert note == (
        "tokenizer: not the one beside the weights: 2 ids mean other words, 1 are in one of the two alone; "
        "4 is 'bad', there 'good', 5 is 'good', there 'bad'"
    )


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"pad_token_id": 1}, r"pad_token_id 0 \('\[PAD\]'\), and there 1\."),
        ({"pad_token_id": 0, "unk_token_id": 7}, r"unk_token_id 3 \('\[UNK\]'\), and there 7\."),
        ({"pad_token_id": 2, "unk_token_id": 7}, r"there 2; unk_token_id"),
    ],
)
def test_special_tokens_have_the_ids_of_the_weights_config(folder, said, wrong):
    (folder / "config.json").write_text(json.dumps(said))
    with pytest.raises(WeightsError, match=wrong):
        vocabularies.check(Tokenizer(folder), folder)


@pytest.mark.parametrize("said", [{}, {"pad_token_id": None}, {"bos_token_id": 7}, {"eos_token_id": [1, 2]}])
def test_ids_that_only_one_of_them_names_are_not_compared(folder, said):
    (folder / "config.json").write_text(json.dumps(said))
    assert vocabularies.check(Tokenizer(folder), folder) == ()


def test_a_runs_model_holds_the_checksum_of_its_words(folder, tmp_path):
    one = Tokenizer(folder)
    (folder / "model.json").write_text(json.dumps({"input": {"vocabulary": one.checksum}}))
    assert vocabularies.check(one, folder) == ()
    with pytest.raises(WeightsError, match="must be that of the run"):
        vocabularies.check(other(tmp_path / "other", film=8), folder)
    (folder / "model.json").write_text(json.dumps({"input": {"lengths": [8]}}))  # of an earlier run
    assert vocabularies.check(one, folder) == ()


def test_without_anything_beside_the_weights_another_vocabulary_goes_unnoticed(tmp_path):
    """What cannot be known: see the module."""
    (tmp_path / "alone").mkdir()
    assert vocabularies.check(other(tmp_path / "other", good=5, bad=4), tmp_path / "alone") == ()
