"""Masked language modelling: loss and sums by hand, and the whole of it on a small BERT that learns to copy."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict
from scipy.special import log_softmax

from configs import default
from tests import small
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.data.inputs import tokens as inputs
from tljax.networks.encoder import Variant
from tljax.networks.families import bert
from tljax.networks.network import Network
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.tasks import classification
from tljax.tasks import masked_lm as task
from tljax.weights import placement

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "##s", *"abcdefgh")
SIZES = {"width": 16, "heads": 2, "depth": 1, "units": 32, "vocabulary": len(WORDS), "positions": 16}
TINY = Variant(**SIZES, dropout=0.0, attention_dropout=0.0)
SETTINGS = {
    "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32,
    "vocab_size": len(WORDS), "max_position_embeddings": 16, "type_vocab_size": 2,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "model_type": "bert",
}  # fmt: skip


def tokenizer(folder, *, mask=True, wordpiece=True):
    """A tokenizer of the words above as Hugging Face saves BERT's."""
    import tokenizers
    import transformers

    models, numbers = tokenizers.models, {word: i for i, word in enumerate(WORDS)}
    fast = tokenizers.Tokenizer((models.WordPiece if wordpiece else models.WordLevel)(numbers, unk_token="[UNK]"))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    named |= {"mask_token": "[MASK]"} if mask else {}
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **named).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights without a head, config.json and tokenizer, and texts without labels, each of one word many times."""
    root = tmp_path_factory.mktemp("masked")
    place = tokenizer(root / "bert")
    network = Network(bert.build(TINY), classification.head(2))
    variables = placement.init(network, inputs.example(), seed=1)
    arrays = placement.publish(variables, [row for row in bert.names(TINY) if not row.path.startswith("head/")])
    safetensors.numpy.save_file(arrays, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(SETTINGS))
    rng = np.random.default_rng(0)
    (root / "texts").mkdir()
    for part, number in (("train", 48), ("test", 30)):
        rows = [" ".join("abcdefgh"[i % 8] * rng.integers(4, 13)) for i in range(number)]
        (root / "texts" / f"{part}.csv").write_text("\n".join(["text", *rows]))
    return root


@pytest.fixture(autouse=True)
def cache(folder, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(folder / "cache"))


def config(folder, **changes):
    one = default.get_config()
    one.data.update(source="text_csv", dir=str(folder / "texts"), labels="none", lengths=(8, 16))
    one.model.update(family="bert", variant="auto", weights=str(folder / "bert"))
    one.optimizer.update(name="adamw", lr=1e-2)
    one.task.name = "masked_lm"
    one.train.update(epochs=1.0, batch_size=16, eval_batch_size=16, log_steps=1, checkpoint_epochs=1.0)
    return small.changed(one, changes)


@pytest.fixture(scope="module")
def learned(folder):
    """A run's folder and its result."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLJAX_CACHE", str(folder / "cache"))
        long = config(folder, train__epochs=80.0, train__checkpoint_epochs=80.0)
        return folder / "learned", run(long, folder / "learned")


# By hand


def example():
    """Two texts of four tokens over three words, two places each; the second text has one that counts."""
    logits = jnp.log(jnp.array([[[2, 1, 1], [1, 1, 2]], [[1, 6, 1], [1, 1, 1]]], jnp.float32))
    said = {"logits": logits, "places": jnp.array([[3, 1], [0, 2]]), "weight": jnp.array([[0.5, 0.5], [1.0, 0.0]])}
    return said, {"ids": jnp.array([[2, 2, 2, 0], [1, 0, 0, 0]]), "mask": jnp.array([True, True])}


def test_the_loss_is_the_mean_of_the_texts_means():
    said, batch = example()
    own = [-np.log(2 / 4), -np.log(2 / 4), -np.log(6 / 8)]
    expected = ((own[0] + own[1]) / 2 + own[2]) / 2
    assert float(task.loss(said, batch, None)) == pytest.approx(expected, rel=1e-6)
    assert float(task.metrics(said, batch)["accuracy"]) == 1.0
    parts = [jax.tree.map(lambda x, i=i: x[i : i + 1], (said, batch)) for i in range(2)]
    assert np.mean([task.loss(*part, None) for part in parts]) == pytest.approx(expected, rel=1e-6)


def test_sums_are_over_the_hidden_tokens_of_the_texts_that_count():
    said, batch = example()
    totals = {name: np.asarray(x) for name, x in task.totals(said, batch).items()}
    assert (totals["correct"], totals["tokens"], totals["examples"]) == (3, 3, 2)
    nats = 2 * np.log(2) + np.log(8 / 6)
    assert totals["loss"] == pytest.approx(nats, rel=1e-6)
    metrics = task.summarize(totals)
    assert metrics["perplexity"] == pytest.approx(np.exp(nats / 3), rel=1e-6) and metrics["accuracy"] == 1.0
    assert task.summarize({**totals, "loss": 3e3})["perplexity"] == np.inf  # e^1000; the run then ends by its own error
    first = task.totals(said, {**batch, "mask": jnp.array([True, False])})
    assert (int(first["tokens"]), int(first["examples"])) == (2, 1)
    assert float(first["loss"]) == pytest.approx(2 * np.log(2), rel=1e-6)
    with pytest.raises(DataError, match="a token that can be masked"):
        task.summarize(totals | {"tokens": 0})


# The whole


@pytest.fixture(scope="module")
def before(folder):
    """What the network says of the test texts at the start, computed here: nats and hits of every hidden token."""
    made = experiment.load(config(folder), axis=None)
    part, nats, right = made.parts["test"], [], []
    prepare = jax.jit(lambda batch: made.prepare(batch, jax.random.key(0), False)["inputs"])
    apply = jax.jit(made.network.apply)
    for i in range(len(part)):
        batch = part.take(np.array([i])) | {"position": np.array([i], np.int32)}
        x = prepare(batch)
        logits = np.asarray(apply(made.variables, x)["logits"])[0]
        on = np.asarray(x["weight"])[0] > 0
        answers = batch["ids"][0][np.asarray(x["places"])[0]]
        nats += (-log_softmax(logits, axis=-1)[np.arange(len(answers)), answers])[on].tolist()
        right += (logits.argmax(-1) == answers)[on].tolist()
    return nats, right


def test_it_learns_what_the_network_did_not_know(before, learned):
    result = learned[1]["metrics"]["test"]
    nats, right = before
    assert np.mean(right) < 0.4 and np.mean(nats) > 2.0
    assert result["accuracy"] > 0.9 and result["loss"] < 0.5
    assert result["tokens"] == len(nats) and result["examples"] == 30
    assert learned[1]["metric"] == "accuracy" and result["perplexity"] == pytest.approx(np.exp(result["loss"]))


def test_evaluation_is_exact_whatever_the_batch(folder, before):
    """As it was computed text by text; and twice the same, with another seed and other batches."""
    nats, right = before
    rate = {"optimizer__lr": 1e-30, "train__epochs": 0.1}
    for name, size, seed in (("small", 4, 0), ("large", 32, 5)):
        found = run(config(folder, train__eval_batch_size=size, seed=seed, **rate), folder / name)["metrics"]["test"]
        assert found["tokens"] == len(nats)
        if seed == 0:  # another seed draws another head
            assert found["accuracy"] == np.mean(right) and found["loss"] == pytest.approx(np.mean(nats), rel=1e-5)


def test_the_next_run_starts_from_model(folder, learned):
    saved = safetensors.numpy.load_file(learned[0] / "model" / "model.safetensors")
    assert "cls.predictions.bias" in saved and not any(name.startswith("classifier") for name in saved)
    assert json.loads((learned[0] / "model" / "model.json").read_text())["classes"] == []
    (folder / "labelled").mkdir()
    for part in ("train", "test"):
        (folder / "labelled" / f"{part}.csv").write_text("text,label\n" + "\n".join(["a a,x", "b b b,y"] * 8))
    after = config(folder, data__dir=str(folder / "labelled"), data__labels="classes", task__name="classification")
    after.model.weights = str(learned[0] / "model")
    made = experiment.load(after, axis=None)
    assert set(made.drawn) == {"head/kernel", "head/bias"} and made.classes == ("x", "y")
    published = placement.publish(made.variables, [row for row in made.names if not row.path.startswith("head/")])
    assert small.bits(published) == small.bits({name: saved[name] for name in published})
    started = safetensors.numpy.load_file(folder / "bert" / "model.safetensors")
    assert (saved["bert.embeddings.word_embeddings.weight"] != started["bert.embeddings.word_embeddings.weight"]).any()
    assert run(after, folder / "after")["counts"] == {"train": 16, "test": 16}


def test_a_head_that_the_weights_carry_is_used(folder, learned):
    again = config(folder, model__weights=str(learned[0] / "model"))
    made = experiment.load(again, axis=None)
    saved = safetensors.numpy.load_file(learned[0] / "model" / "model.safetensors")
    assert made.drawn == () and small.bits(placement.publish(made.variables, made.names)) == small.bits(saved)
    other = folder / "untied"
    tokenizer(other)
    words = saved["bert.embeddings.word_embeddings.weight"]
    for decoder, fault in ((words, ""), (words + 1, "'cls.predictions.decoder.weight' in these weights is another")):
        safetensors.numpy.save_file(saved | {"cls.predictions.decoder.weight": decoder}, other / "model.safetensors")
        (other / "config.json").write_text(json.dumps(SETTINGS))
        if fault:
            with pytest.raises(WeightsError, match=fault):
                experiment.load(config(folder, model__weights=str(other)), axis=None)
        else:
            assert experiment.load(config(folder, model__weights=str(other)), axis=None).drawn == ()
    incomplete = {name: array for name, array in saved.items() if name != "cls.predictions.bias"}
    safetensors.numpy.save_file(incomplete, other / "model.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing: cls\.predictions\.bias"):
        experiment.load(config(folder, model__weights=str(other)), axis=None)


def test_what_is_frozen_keeps_its_bits_and_devices_and_micro_batches_agree(folder):
    frozen = {"groups": ConfigDict({"low": "embed", "high": "block0", "head": "head"}, sort_keys=False)}
    frozen |= {"strategy__name": "groups", "strategy__scales": ConfigDict({"low": 0.0, "high": 1.0, "head": 1.0})}
    ways = {"jit": {}, "pmap": {"parallel": "pmap"}, "accumulated": {"optimizer__accumulate": 4}}
    for name, change in ways.items():
        change |= {"train__epochs": 2.0, "data__lengths": (16,)}  # one length: half the programs to compile
        run(config(folder, **frozen, **change), folder / f"frozen_{name}")
    losses = {name: small.losses(folder / f"frozen_{name}") for name in ways}
    assert len(losses["jit"]) == 6
    for name in ways:
        np.testing.assert_allclose(losses[name], losses["jit"], rtol=1e-5)
    saved = safetensors.numpy.load_file(folder / "frozen_jit" / "model" / "model.safetensors")
    started = safetensors.numpy.load_file(folder / "bert" / "model.safetensors")
    same = {name for name in started if started[name].tobytes() == saved[name].tobytes()}
    assert same == {name for name in started if name.startswith("bert.embeddings.")}


def test_a_run_cut_off_ends_the_same(folder, monkeypatch):
    whole = run(config(folder, train__epochs=3.0), folder / "whole")
    small.run_cut_off(monkeypatch, config(folder, train__epochs=3.0), folder / "cut", at=5)
    assert run(config(folder, train__epochs=3.0), folder / "cut")["metrics"] == whole["metrics"]
    assert small.saved_bits(folder / "whole") == small.saved_bits(folder / "cut")


def test_labels_that_there_are_do_not_count(folder):
    """The same run, whatever they say, where by class nothing could be learned from the training part."""
    prints = []
    for labels in ("xy", "xx"):
        place = folder / f"with_{labels}"
        place.mkdir()
        for part in ("train", "test"):
            rows = (folder / "texts" / f"{part}.csv").read_text().splitlines()[1:]
            table = "\n".join(f"{row},{labels[i % 2]}" for i, row in enumerate(rows))
            (place / f"{part}.csv").write_text(f"text,label\n{table}")
        made = experiment.load(config(folder, data__dir=str(place), data__labels="classes"), axis=None)
        assert made.classes == () and made.info.labels == "none"
        prints.append(made.fingerprints())
    assert prints[0] == prints[1] == experiment.load(config(folder), axis=None).fingerprints()


def test_texts_in_folders_without_classes(folder):
    for i, split in enumerate(("train", "test")):
        (folder / "plain" / split).mkdir(parents=True)
        for number in range(3):
            (folder / "plain" / split / f"{number}.txt").write_text("a b " * (number + i + 1))
    one = config(folder, data__source="text_folder", data__dir=str(folder / "plain"))
    assert {name: len(part) for name, part in experiment.load(one, axis=None).parts.items()} == {"train": 3, "test": 3}
    (folder / "plain" / "train" / "a").mkdir()
    (folder / "plain" / "train" / "a" / "1.txt").write_text("a")
    made = experiment.load(one, axis=None)
    assert len(made.parts["train"]) == 3 and made.skipped == [
        f"{folder}/plain/train/a: no text by its suffix, or a folder"
    ]


def test_the_pooler_is_left_out_and_said(folder):
    pooled = Variant(**SIZES, pooling="pooler")
    built = task.build(bert, pooled, None, dtype=jnp.float32, bn_axis=None)
    assert built.variant == Variant(**SIZES, pooling="class") and "pooler: left out" in built.notes[0]
    assert not any("pooler" in row.published for row in built.names) and not built.published_head
    kept = task.build(bert, "minilm_l6", None, dtype=jnp.float32, bn_axis=None)
    assert kept.variant == "minilm_l6" and kept.notes == ()
    assert bert.unpooled("base") == "base_class"


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"strategy__name": "classic"}, ConfigError, "masked_lm has no labels"),
        (
            {"strategy__name": "linear_probe", "data__cached_views": 2, "train__epochs": 9.0},
            ConfigError,
            "cached_views=0",
        ),
        ({"task__name": "classification"}, ConfigError, "labels that are classes; those of .* are none"),
        ({"task__mask_share": 1.0}, ConfigError, r"config.task.mask_share must be in \(0, 1\)"),
    ],
)
def test_what_does_not_go_together(folder, changes, error, text):
    with pytest.raises(error, match=text):
        run(config(folder, **changes), folder / "refused")
    assert not (folder / "refused" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("made", "changes", "error", "text"),
    [
        ({"mask": False}, {}, WeightsError, "with a mask token.*this one has none"),
        ({"wordpiece": False}, {"task__whole_words": True}, ConfigError, "needs a WordPiece tokenizer"),
    ],
)
def test_tokenizers_that_do_not_do(folder, tmp_path, made, changes, error, text):
    other = tokenizer(tmp_path / "tokenizer", **made)
    with pytest.raises(error, match=text):
        experiment.load(config(folder, model__tokenizer=str(other), **changes), axis=None)


def test_what_a_tokenizer_says_of_its_words(folder):
    made = inputs.Tokenizer(folder / "bert").vocabulary(99)
    assert (made.size, made.mask, made.special, made.continues) == (len(WORDS), 4, (0, 1, 2, 3, 4), (5,))


def test_pictures_have_no_words(folder, learned):
    from tljax.networks.families import resnet

    with pytest.raises(ConfigError, match="'resnet' is image. Choose a text encoder"):
        task.build(resnet, "18", None, dtype=jnp.float32, bn_axis=None)
    with pytest.raises(ConfigError, match="learned masked_lm. Begin a run of another task"):
        saved_model.load(learned[0])
