"""Texts through the main job: a small BERT saved as Hugging Face saves one, learned from a table."""

import json

import numpy as np
import pytest
import safetensors.numpy

from configs import default
from tests import small
from tljax.core.errors import ConfigError, WeightsError
from tljax.data.inputs import tokens as inputs
from tljax.networks.encoder import Variant
from tljax.networks.families import bert, roberta
from tljax.networks.network import Network
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.tasks import classification
from tljax.weights import placement

TINY = Variant(width=16, heads=2, depth=2, units=32, vocabulary=len(small.WORDS), positions=32, pooling="mean")
SETTINGS = {
    "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 32,
    "vocab_size": len(small.WORDS), "max_position_embeddings": 32, "type_vocab_size": 2,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return written(tmp_path, monkeypatch)


def written(tmp_path, monkeypatch):
    """Weights, config.json and tokenizer, and beside them train.csv and test.csv."""
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(bert.VARIANTS, "test", TINY)
    place = small.word_tokenizer(tmp_path / "bert")
    network = Network(bert.build("test"), classification.head(2))
    variables = placement.init(network, inputs.example(), seed=1)
    arrays = placement.publish(variables, [row for row in bert.names("test") if not row.path.startswith("head/")])
    safetensors.numpy.save_file(arrays, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(SETTINGS | {"model_type": "bert"}))
    rng = np.random.default_rng(0)
    for part, number in (("train", 48), ("test", 31)):
        rows = ["text,label"]
        for i in range(number):
            words = [*rng.choice(("very", "book"), rng.integers(1, 12)), ("good", "bad")[i % 2]]
            rows.append(f"{' '.join(rng.permutation(words))},{('pos', 'neg')[i % 2]}")
        (tmp_path / f"{part}.csv").write_text("\n".join(rows))
    return tmp_path


def config(folder, **changes):
    one = default.get_config()
    one.data.update(source="text_csv", dir=str(folder), lengths=(8, 16))
    one.model.update(family="bert", variant="test", weights=str(folder / "bert"))
    one.optimizer.update(name="adamw", lr=5e-3)
    one.train.update(epochs=12.0, batch_size=8, eval_batch_size=16, log_steps=1, checkpoint_epochs=4.0)
    return small.changed(one, changes)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_text_encoder_learns_from_a_table(folder, mode, capsys):
    result = run(config(folder, parallel=mode, strategy__name="layer_decay"), folder / "run")
    assert result["metrics"]["train"]["accuracy"] == 1.0 and result["metrics"]["test"]["accuracy"] >= 30 / 31
    assert result["counts"] == {"train": 48, "test": 31}
    said = capsys.readouterr().out
    assert "tokens: " in said and "0 texts cut to 16 (0.0%)" in said
    assert said.count("compiling phase") == 2  # a program a length: 8 and 16


def test_texts_that_stand_in_train_too_are_counted(folder):
    table = {
        "train": ["very good,pos", "bad book,neg", "Very  good,pos", "book very,pos"],
        "test": ["VERY good,pos", "good,pos"],
    }
    for part, rows in table.items():
        (folder / f"{part}.csv").write_text("\n".join(["text,label", *rows]))
    said = "repeats: 1 of test are in train too; config.data.duplicates=remove leaves them out"
    assert said in experiment.load(config(folder), axis=None).notes
    made = experiment.load(config(folder, data__duplicates="remove"), axis=None)
    assert not [note for note in made.notes if note.startswith("repeats")]


def test_weights_that_are_not_taken_are_not_asked_for(folder):
    """From scratch the tokenizer is held to no weights: they may be out of reach."""
    one = config(folder, model__weights="some/where", model__tokenizer=str(folder / "bert"))
    one.model.lock_file = str(folder / "lock.json")
    made = experiment.load(one, axis=None, pretrained_wanted=False)
    assert made.published is None and len(made.parts["train"]) == 48
    with pytest.raises(WeightsError, match="some/where"):
        experiment.load(one, axis=None)


def test_frozen_encoders_run_once_whatever_the_lengths(folder, capsys):
    probe = {"strategy__name": "linear_probe", "train__epochs": 4.0}
    plain = run(config(folder, **probe, data__cache="off"), folder / "plain")
    cached = run(config(folder, **probe), folder / "cached")
    assert "cached in memory" in capsys.readouterr().out
    assert cached["metrics"]["test"]["loss"] == pytest.approx(plain["metrics"]["test"]["loss"], rel=1e-5)
    assert cached["counts"] == plain["counts"]


def test_a_run_cut_off_ends_the_same(folder, monkeypatch):
    one = config(folder, strategy__name="full", train__epochs=4.0, train__checkpoint_epochs=1.0)
    whole = run(one, folder / "whole")
    small.run_cut_off(monkeypatch, one, folder / "cut", at=15)
    assert run(one, folder / "cut")["metrics"] == whole["metrics"]
    assert small.saved_bits(folder / "whole") == small.saved_bits(folder / "cut")
    np.testing.assert_array_equal(small.losses(folder / "whole"), small.losses(folder / "cut"))


def test_the_model_folder_is_weights_for_the_next_transfer(folder):
    run(config(folder, strategy__name="full", train__epochs=1.0), folder / "run")
    saved = safetensors.numpy.load_file(folder / "run" / "model" / "model.safetensors")
    again = config(folder, model__weights=str(folder / "run" / "model"), model__tokenizer="")
    made = experiment.load(again, axis=None)
    ours = made.variables["params"]["backbone"]["embed"]["word"]["embedding"]
    np.testing.assert_array_equal(ours, saved["bert.embeddings.word_embeddings.weight"])
    assert set(made.drawn) == {"head/kernel", "head/bias"}
    before = experiment.load(config(folder), axis=None).parts["test"]
    np.testing.assert_array_equal(made.parts["test"].lengths, before.lengths)  # its own tokenizer


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"data__lengths": (8, 64)}, ConfigError, "at most the 32 tokens of this encoder; got"),
        ({"model__weights": ""}, ConfigError, "needs a tokenizer: set config.model.token"),
        ({"model__variant": "narrow"}, WeightsError, "makes the id 7, and the encoder knows 5"),
        ({"model__family": "roberta"}, WeightsError, "it pads with the id 0, and the encoder with 1"),
    ],
)
def test_what_does_not_belong_together(folder, monkeypatch, changes, error, text):
    monkeypatch.setitem(bert.VARIANTS, "narrow", Variant(16, 2, 2, 32, vocabulary=5, positions=32, pooling="mean"))
    monkeypatch.setitem(roberta.VARIANTS, "test", Variant(16, 2, 2, 32, vocabulary=9, positions=32, padding=1))
    with pytest.raises(error, match=text):
        experiment.load(config(folder, **changes), axis=None, pretrained_wanted=False)


@pytest.mark.parametrize(("asked", "prefix"), [("auto", "very "), ("", ""), ("book ", "book ")])
def test_what_stands_before_every_text_is_read_from_the_weights_kept_and_put_before_what_is_asked(
    folder, asked, prefix
):
    """Of the folder's default prompt; a run's model/ puts it before the texts that it is asked about."""
    rows = [{"type": "some.Transformer", "path": ""}, {"type": "some.Pooling", "path": "1_Pooling"}]
    (folder / "bert" / "modules.json").write_text(json.dumps(rows))
    (folder / "bert" / "1_Pooling").mkdir()
    (folder / "bert" / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    said = {"prompts": {"query": "very "}, "default_prompt_name": "query"}
    (folder / "bert" / "config_sentence_transformers.json").write_text(json.dumps(said))
    loaded = experiment.load(config(folder, data__prefix=asked), axis=None)
    assert loaded.parts["train"].prefix == prefix
    note = f"prefix: {prefix!r} stands before every text" if prefix else "prefix: '' stands before"
    assert any(one.startswith(note) for one in loaded.notes)
    assert any("these weights were trained with 'very '" in one for one in loaded.notes) == (asked != "auto")
    kept = inputs.sizes(loaded.parts, config(folder).data, card=loaded.card)
    assert kept["prefix"] == prefix
    read = inputs.reopen(folder / "bert", kept, card=loaded.card, backbone=loaded.network.backbone).read
    expected = inputs.reopen(folder / "bert", kept | {"prefix": ""}, card=loaded.card, backbone=loaded.network.backbone)
    assert read("good").ids.tolist() == expected.read(f"{prefix}good").ids.tolist()
