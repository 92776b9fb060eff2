"""`tljax predict` and `export` of a run on texts: what its evaluation computed, and every text that cannot be asked."""

import dataclasses
import io
import json
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import safetensors.numpy

import tljax
from tests.runs.test_text_runs import TINY, config, written
from tljax.__main__ import main
from tljax.core.errors import WeightsError
from tljax.data.batches import Evaluation
from tljax.networks.families import bert
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.serving.predictor import Predictor
from tljax.tasks.classification import outputs as softmax
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.train_step import make_eval_step

CONFIG, DATA, WEIGHTS = 2, 3, 4
LONG = "very " * 40 + "good"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the config, the run's folder, the texts of its test part)"""
    with pytest.MonkeyPatch.context() as monkeypatch:
        root = written(tmp_path_factory.mktemp("texts"), monkeypatch)
        one = config(root, strategy__name="full", train__epochs=2.0)
        run(one, root / "run")
        rows = (root / "test.csv").read_text().splitlines()[1:]
        yield one, root / "run", [row.partition(",")[0] for row in rows]


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def evaluated(one, model):
    """The logits that the run's evaluation computes of its test part."""
    made, devices = experiment.load(one, axis=None, pretrained_wanted=False), parallel.make("jit")
    task = SimpleNamespace(totals=lambda logits, batch: {}, per_example=lambda logits, batch: {"logits": logits})
    evaluator = Evaluator(make_eval_step(made.network, task, made.prepare), devices)
    batches = Evaluation(made.parts["test"], batch_size=one.train.eval_batch_size)
    return evaluator(devices.put_state(model.variables), batches)["logits"]


def test_probabilities_are_those_of_the_evaluation_and_of_any_batch(trained, capsys):
    one, place, texts = trained
    model = saved_model.load(place)
    expected = softmax(evaluated(one, model))
    whole = len(texts) // one.train.eval_batch_size * one.train.eval_batch_size  # the last batch is filled otherwise
    answers = list(Predictor(model, batch_size=one.train.eval_batch_size).answers(texts))
    found = np.stack([answer for _, answer in answers])
    assert [text for text, _ in answers] == texts and found.std() > 0.01
    np.testing.assert_array_equal(found[:whole], expected[:whole])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    alone = Predictor(model, batch_size=1)  # in the shorter of both lengths, where it fits
    np.testing.assert_allclose(alone(list(map(model.asked.read, texts[:3]))), evaluated(one, model)[:3], atol=2e-6)
    assert main(["predict", str(place), *texts, "--json"]) == 0
    said = lines(capsys)
    assert [row["text"] for row in said] == texts
    assert [[name for name, _ in row["classes"]] for row in said] == [[model.classes[p.argmax()]] for p in found]
    best = [row["classes"][0][1] for row in said]  # in batches of another size
    np.testing.assert_allclose(best, found.max(axis=1), rtol=0, atol=1e-6)


def test_texts_from_a_file_and_from_standard_input(trained, tmp_path, capsys, monkeypatch):
    _, place, _ = trained
    (tmp_path / "texts.txt").write_bytes("very good\r\nbad book\n".encode("utf-8-sig"))
    assert main(["predict", str(place / "model"), f"--file={tmp_path / 'texts.txt'}", "--top=2", "good", "--json"]) == 0
    said = lines(capsys)
    assert [row["text"] for row in said] == ["good", "very good", "bad book"]
    assert all(sum(p for _, p in row["classes"]) == pytest.approx(1.0, abs=1e-6) for row in said)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"very good\nbad book")))
    assert main(["predict", str(place), "--file=-", "--top=1"]) == 0
    first, second = (row["classes"][0] for row in said[1:])
    expected = f"very good  {first[0]} {first[1]:.4f}\nbad book  {second[0]} {second[1]:.4f}\n"
    assert capsys.readouterr().out == expected


def test_what_is_too_long_is_cut_as_in_training_and_counted(trained, capsys):
    _, place, _ = trained
    kept = "very " * 14  # of 16 tokens, two are [CLS] and [SEP]
    assert main(["predict", str(place), LONG, kept, "--json"]) == 0
    out, error = capsys.readouterr()
    first, second = (json.loads(line)["classes"] for line in out.splitlines())
    assert first == second and "1 of 2 texts were cut to 16 tokens" in error
    loaded = tljax.load(place)
    for asked in ([LONG, kept], [LONG]):  # each call counts its own
        with pytest.warns(UserWarning, match=f"1 of {len(asked)} texts were cut to 16 tokens"):
            loaded.predict(asked)


def test_texts_that_cannot_be_asked_are_named_after_the_answers(trained, tmp_path, capsys):
    _, place, _ = trained
    (tmp_path / "texts.txt").write_text("bad\n  \nbook\n")
    assert (
        main(["predict", str(place), "good", "", "b\udce9d", "a\0b", f"--file={tmp_path / 'texts.txt'}", "--json"])
        == DATA
    )
    out, error = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["good", "bad", "book"]
    assert "Every text must be readable; 4 of 7 are not:" in error
    reasons = ("text 2: it is empty", "text 3: it is not UTF-8", "text 4: it holds a NUL character")
    assert all(reason in error for reason in (*reasons, f"{tmp_path / 'texts.txt'}:2: it is empty"))


@pytest.mark.parametrize(
    ("content", "arguments", "code", "said"),
    [
        (b"good\nfa\xe7ade\n", ["--file={file}"], DATA, "Texts must be utf-8; '{file}' is not: byte 0xe7 in line 2"),
        (b"fa\xe7ade\n", ["--file={file}", "--encoding=ascii"], DATA, "Convert the file, or set --encoding (latin-1"),
        (b"good\nb\0d\n", ["--file={file}"], DATA, "must not hold NUL characters; '{file}' does, in line 2"),
        (None, ["--file={file}"], DATA, "Texts must be readable; '{file}' is not: No such file"),
        (None, [], CONFIG, "Give a text: tljax predict RUN"),
        (b"", ["--file={file}"], CONFIG, "Give a text: tljax predict RUN"),
    ],
    ids=["utf-8", "ascii", "nul", "no file", "nothing", "an empty file"],
)
def test_mistakes(trained, tmp_path, capsys, content, arguments, code, said):
    file = tmp_path / "texts.txt"
    if content is not None:
        file.write_bytes(content)
    assert main(["predict", str(trained[1]), *(word.format(file=file) for word in arguments)]) == code
    assert said.format(file=file) in capsys.readouterr().err


def test_a_tokenizer_that_is_not_the_networks(trained, tmp_path, capsys):
    place = shutil.copytree(trained[1], tmp_path / "run")
    model = json.loads((place / "model" / "model.json").read_text())
    file = place / "model" / "tokenizer.json"
    said = json.loads(file.read_text())
    said["model"]["vocab"] |= {"good": said["model"]["vocab"]["bad"], "bad": said["model"]["vocab"]["good"]}
    file.write_text(json.dumps(said))
    assert main(["predict", str(place), "good"]) == WEIGHTS  # as many words, of other ids
    assert "must be that of the run: the checksum of its words is " in capsys.readouterr().err
    vocabulary = model["input"].pop("vocabulary")
    assert len(vocabulary) == 64 and model["input"] == {"lengths": [8, 16], "pairs": False, "prefix": ""}
    (place / "model" / "model.json").write_text(json.dumps(model))  # as runs of before had it
    said["model"]["vocab"]["film"] = 8  # the network knows the ids 0 to 7
    file.write_text(json.dumps(said))
    assert main(["predict", str(place), "good film", "good"]) == DATA
    out, error = capsys.readouterr()
    assert (
        out.startswith("good  ")
        and "text 1: The tokenizer in " in error
        and "makes the id 8, and the encoder knows 8" in error
    )
    file.unlink()
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (place / "model" / name).unlink(missing_ok=True)
    with pytest.raises(WeightsError, match="A tokenizer must lie beside the weights"):
        saved_model.load(place)


def test_pairs_have_a_tab_between(tmp_path, monkeypatch, capsys):
    folder = written(tmp_path, monkeypatch)
    for part in ("train", "test"):
        rows = [f"very {'good' if i % 2 else 'bad'},book,{'pos' if i % 2 else 'neg'}" for i in range(16)]
        (folder / f"{part}.csv").write_text("\n".join(["text,other,label", *rows]))
    run(config(folder, data__columns__pair="other", train__epochs=1.0), folder / "run")
    model = saved_model.load(folder / "run")
    assert model.input["pairs"] is True
    row = model.asked.read("very good\tbook")
    assert row.ids.tolist() == [1, 6, 4, 2, 7, 2] and row.types.tolist() == [0, 0, 0, 0, 1, 1]
    assert main(["predict", str(folder / "run"), "very good\tbook", "very good"]) == DATA
    assert "text 2: it must be 2 texts with a tab between" in capsys.readouterr().err


# Export


def test_what_is_exported_holds_what_was_learned(trained, capsys):
    _, place, _ = trained
    model = saved_model.load(place)
    assert main(["export", str(place), "--to=safetensors-torch"]) == 0
    out = place / "export" / "safetensors-torch"
    lines = capsys.readouterr().out.splitlines()
    names = ("model.safetensors", "model.card.json", "model.json", "model_load.py")
    files, note = lines[:4], lines[4]
    assert files == [str(out / name) for name in names]
    assert note == "transformers loads it with AutoModel: none of its classes classifies as this run."
    arrays = safetensors.numpy.load_file(out / "model.safetensors")
    np.testing.assert_array_equal(arrays["classifier.bias"], model.variables["params"]["head"]["bias"])
    said = json.loads((out / "config.json").read_text())
    assert dataclasses.replace(bert.infer(arrays, said), pooling="mean") == TINY
    assert "id2label" not in said and (out / "tokenizer.json").is_file()
    # As weights of the next transfer, tokenizer and all.
    again = experiment.load(config(place.parent, model__weights=str(out), model__variant="auto"), axis=None)
    assert set(again.drawn) == {"head/kernel", "head/bias"}


def test_stablehlo_takes_tokens_of_any_number_and_length(trained, tmp_path):
    _, place, texts = trained
    model = saved_model.load(place)
    assert main(["export", str(place), "--to=stablehlo", f"--out={tmp_path / 'net.stablehlo'}"]) == 0
    program = jax.export.deserialize((tmp_path / "net.stablehlo").read_bytes())
    for some in (texts[:5], ["good"]):
        batch = model.asked.batch([model.asked.read(text) for text in some])
        found = program.call(batch["ids"], batch["types"], batch["tokens"])
        np.testing.assert_allclose(found, jax.jit(model.logits)(model.variables, batch), rtol=0, atol=1e-6)
