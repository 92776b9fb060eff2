"""`tljax zero_shot` on a folder of two towers and from a stand-in hub, and runs whose head begins from class names."""

import json

import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict
from PIL import Image

from tests import small, two_towers
from tests.weights.test_hub import FIRST, cache, server  # noqa: F401 -- fixtures
from tljax.__main__ import main
from tljax.runs.run import run
from tljax.serving import wise_ft
from tljax.transfer import text_head

CONFIG, DATA, WEIGHTS = 2, 3, 4


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    return {kind: two_towers.write(tmp_path_factory.mktemp(kind), kind) for kind in ("clip", "siglip", "tips")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures of two classes, in folders of classes, in two parts."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("train/cat", "train/hot_dog", "test/cat", "test/hot_dog"):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(rng.integers(0, 255, (16, 20, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def told(capsys, *words):
    capsys.readouterr()
    code = main(["zero_shot", *map(str, words)])
    return code, capsys.readouterr()


def test_a_table_is_refused_before_weights_are_looked_for(tmp_path, capsys):
    (tmp_path / "new.csv").write_text("image\n1.png\n")
    code, out = told(capsys, "no/weights", tmp_path / "new.csv", "--classes", "cat,dog")
    assert code == DATA and f"pictures or folders of them, and no table; got: {tmp_path / 'new.csv'}" in out.err


@pytest.mark.parametrize("kind", ["clip", "siglip", "tips"])
def test_folders_of_classes_give_the_accuracy(kind, towers, data, capsys):
    code, out = told(capsys, towers[kind], data, "--template", "a photo of a {}", "--template", "{}", "--json")
    found = json.loads(out.out.splitlines()[-1])
    assert code in (0, None)
    assert (found["metric"], found["metrics"]["examples"]) == ("accuracy", 24)
    assert [row["class"] for row in found["classes"]] == ["cat", "hot_dog"]


def test_pictures_give_a_line_each(towers, data, capsys):
    files = [data / "test" / "cat" / "0.png", data / "test" / "hot_dog" / "1.png"]
    _, out = told(capsys, towers["clip"], *files, "--classes", "cat, hot dog, boat", "--top", "3", "--json")
    rows = [json.loads(line) for line in out.out.splitlines()]
    assert [row["picture"] for row in rows] == list(map(str, files))
    for row in rows:
        assert {name for name, _ in row["classes"]} == {"cat", "hot dog", "boat"}
        assert sum(chance for _, chance in row["classes"]) == pytest.approx(1, abs=1e-5)


def test_what_it_cannot_answer(towers, data, tmp_path, capsys):
    code, out = told(capsys, towers["clip"], data / "test" / "cat" / "0.png")
    assert (code, "two classes or more" in out.err) == (CONFIG, True)
    code, out = told(capsys, towers["clip"], data, "--template", "a photo")
    assert (code, "one {} for the class" in out.err) == (CONFIG, True)
    (tmp_path / "0.png").write_bytes(b"no picture")
    code, out = told(capsys, towers["clip"], tmp_path, "--classes", "cat,dog")
    assert (code, str(tmp_path / "0.png") in out.err) == (DATA, True)


def test_from_a_hub(towers, data, server, tmp_path, monkeypatch, capsys):  # noqa: F811
    server.repository, server.commits = "openai/a-clip", {FIRST: (towers["clip"] / "model.safetensors").read_bytes()}
    server.beside = {file.name: file.read_bytes() for file in towers["clip"].glob("*.json")}
    monkeypatch.chdir(tmp_path)
    code, out = told(capsys, "openai/a-clip", data, "--json")
    expected = told(capsys, towers["clip"], data, "--json")[1].out
    assert code in (0, None)
    assert out.out == expected
    assert "tokenizer.json" in (tmp_path / "tljax.lock.json").read_text()


def from_names(towers, data):
    """A run on the pictures whose head begins from the names of their classes."""
    config = small.config(data__source="image_folder", model__family="vit", model__variant="auto")
    config.model.update(weights=str(towers), text_head="a photo of a {}|{}")
    config.data.update(
        dir=str(data), resize=16, size=16, augment=False, channels=3, classes=(), fractions=(), examples_per_class=0
    )
    config.model.card.update(mean=(), std=(), scale=255.0)
    config.groups = ConfigDict()
    config.train.update(epochs=1.0, batch_size=4)
    return config


@pytest.mark.parametrize("kind", ["clip", "siglip", "tips"])
def test_a_run_begins_with_the_head_of_its_classes(kind, towers, data, tmp_path):
    """At a rate of nearly 0 the head stays as it began."""
    config = from_names(towers[kind], data)
    config.strategy.name, config.optimizer.lr = "linear_probe", 1e-12
    run(config, tmp_path / "run")
    head = safetensors.numpy.load_file(tmp_path / "run" / "model" / "model.safetensors")
    tower = text_head.read(str(towers[kind]), lock=tmp_path / "lock.json")
    classes = tower.classes(["cat", "hot dog"], ["a photo of a {}", "{}"])
    projection = safetensors.numpy.load_file(towers[kind] / "model.safetensors").get(
        "visual_projection.weight", np.eye(8)
    )
    expected = (classes @ projection).reshape(1, -1)  # (K, P) (P, D) -> (1, K D)
    found = head["head.weight"].reshape(1, -1)
    np.testing.assert_allclose(text_head.unit(found), text_head.unit(expected), atol=1e-5)
    np.testing.assert_allclose(head["head.bias"], tower.bias, atol=1e-6)


def test_wise_ft_from_the_zero_shot_network_to_the_run(towers, data, tmp_path, capsys):
    config = from_names(towers["clip"], data)
    config.strategy.name, config.optimizer.lr, config.data.validation = "full", 0.1, 0.34
    run(config, tmp_path / "tuned")
    words = ["soup", str(tmp_path / "tuned"), "--recipe", "wise_ft", "--out"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wise_ft, "chosen", lambda line: 0.0)
        assert main([*words, str(tmp_path / "first")]) == 0
    arrays = [safetensors.numpy.load_file(tmp_path / one / "model" / "model.safetensors") for one in ("first", "tuned")]
    published = safetensors.numpy.load_file(towers["clip"] / "model.safetensors")
    tower = text_head.read(str(towers["clip"]), lock=tmp_path / "lock.json")
    expected = tower.classes(["cat", "hot dog"], ["a photo of a {}", "{}"]) @ published["visual_projection.weight"]
    found = arrays[0]["head.weight"]
    np.testing.assert_allclose(text_head.unit(found.reshape(1, -1)), text_head.unit(expected.reshape(1, -1)), atol=1e-5)
    assert all((x != arrays[1][name]).any() for name, x in arrays[0].items() if name.endswith("weight"))
    patches = "vision_model.embeddings.patch_embedding.weight"
    assert (arrays[0]["patch_embed.proj.weight"] == published[patches]).all()
    file = tmp_path / "tuned" / "inputs.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"weights": "others"}))
    assert main([*words, str(tmp_path / "refused")]) == WEIGHTS
    assert "must begin at the network that" in capsys.readouterr().err


def test_only_what_has_texts_begins_from_them(tmp_path):
    config = small.config(model__text_head="a {}")
    with pytest.raises(Exception, match=r"config\.model\.text_head needs config\.model\.family=vit, weights"):
        run(config, tmp_path / "run")
