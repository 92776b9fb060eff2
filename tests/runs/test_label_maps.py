"""Labels that are maps, a head that reads several stages: whole runs of a task and a source outside the package."""

import hashlib
import json
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict
from PIL import Image

from configs import default
from tests import small
from tljax.__main__ import main
from tljax.core import settings
from tljax.core.errors import ConfigError, DataError
from tljax.core.plugins import find
from tljax.core.types import IGNORED, Name
from tljax.networks import flops
from tljax.networks.families import resnet
from tljax.reporting.terminal import Screen
from tljax.runs import decision, experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.serving.predictor import Predictor
from tljax.training import features, parallel
from tljax.transfer.method import Method

OUTSIDE = Path(__file__).parents[1] / "outside"
TASK, SOURCE = str(OUTSIDE / "label_map.py"), str(OUTSIDE / "masked_pictures.py")
FOUR = resnet.Variant((1, 1, 1, 1), bottleneck=False, width=8)  # four stages
PICTURES = 24


@pytest.fixture(autouse=True)
def four_stages(monkeypatch):
    monkeypatch.setitem(resnet.VARIANTS, "four", FOUR)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Pictures 40 x 52 of grey noise with one bright square each, whose mask has an edge that does not count."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for i in range(PICTURES):
        image, mask = rng.integers(0, 120, (40, 52, 3), np.uint8), np.zeros((40, 52), np.uint8)
        top, left = rng.integers(2, 20), rng.integers(8, 24)
        mask[top - 2 : top + 18, left - 2 : left + 18] = IGNORED
        mask[top : top + 16, left : left + 16] = 1 + i % 3
        image[top : top + 16, left : left + 16] += 120
        Image.fromarray(image).save(root / "images" / f"{i:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i:02}.png")
    return root


def make_config(folder, **changes):
    one = default.get_config()
    one.data.update(source=SOURCE, dir=str(folder), fractions=(0.5, 0.25, 0.25), resize=36, size=32)
    one.model.update(family="resnet", variant="four")
    one.model.card.update(mean=(0.4,) * 3, std=(0.2,) * 3)
    one.task.name, one.strategy.name = TASK, "scratch"
    one.optimizer.update(name="adam", lr=3e-3)
    one.train.update(epochs=4.0, batch_size=4, eval_batch_size=8, log_steps=1)
    return small.changed(one, changes)


AUGMENTED = {"data__crop": 32, "data__flip": True}


def test_it_trains_and_resumes_bit_equal(squares, tmp_path, monkeypatch):
    config = make_config(squares, **AUGMENTED)
    result = run(config, tmp_path / "whole")
    assert result["metrics"]["test"]["mean_iou"] > 0.6 and result["counts"]["test"] == 6
    losses = small.losses(tmp_path / "whole")
    assert losses[-3:].mean() < losses[:3].mean() / 2
    assert np.load(tmp_path / "whole" / "report" / "test_both.npy").shape == (6, 2)  # per example, in order
    small.run_cut_off(monkeypatch, config, tmp_path / "cut", at=7)
    run(config, tmp_path / "cut")
    assert small.saved_bits(tmp_path / "cut") == small.saved_bits(tmp_path / "whole")
    assert (small.losses(tmp_path / "cut") == losses).all()


def expects_to_be_saved_and_asked(folder, config, picture, capsys):
    """Head and statistics are in the file under published names; the run answers as its evaluation did."""
    saved = safetensors.numpy.load_file(folder / "model" / "model.safetensors")
    assert {"head.stage4.kernel", "head.conv.kernel", "head.norm.mean", "layer4.0.conv1.weight"} <= set(saved)
    assert "fc.weight" not in saved and saved["head.conv.kernel"].shape == (2, 16, 3, 3)
    model, made = saved_model.load(folder), experiment.load(config, axis=None, pretrained_wanted=False)
    batch = made.parts["test"].take(np.arange(6)) | {"position": np.arange(6, dtype=np.int32)}
    inputs = made.prepare(batch, jax.random.key(0), False)["inputs"]
    logits = Predictor(model, batch_size=6)(batch["image"])
    np.testing.assert_allclose(logits, jax.jit(model.network.apply)(model.variables, inputs), atol=1e-4)
    capsys.readouterr()
    main(["predict", str(folder), str(picture), "--json", "--plugins", TASK])
    (line,) = capsys.readouterr().out.splitlines()
    shares = dict(json.loads(line)["maps"])
    assert shares.keys() == {"ground", "thing"} and sum(shares.values()) == pytest.approx(1)


def test_it_is_saved_asked_and_learned_from_again(squares, tmp_path, capsys):
    config = make_config(squares, train__epochs=1.0)
    run(config, tmp_path / "run")
    expects_to_be_saved_and_asked(tmp_path / "run", config, squares / "images" / "00.png", capsys)
    again = small.config(model__family="resnet", model__variant="four", model__weights=str(tmp_path / "run" / "model"))
    again.data.update(channels=3, size=32)
    again.groups = ConfigDict()
    again.model.card.update(mean=(), std=())
    made = experiment.load(again, axis=None)  # a classifier on the same backbone: the other head is left out
    assert set(made.drawn) == {"head/kernel", "head/bias"}


def test_what_is_cached_of_several_stages_is_what_the_head_would_be_given(squares, tmp_path, monkeypatch):
    """Stages 1 to 3 are frozen: their outputs are rows, and those of stage 3 go on into stage 4."""
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    one = {"strategy__name": "last_k", "data__fractions": (0.5, 0.0, 0.5), "train__epochs": 3.0}
    run(make_config(squares, train__epochs=1.0), tmp_path / "first")
    one["model__weights"] = str(tmp_path / "first" / "model")
    for name, cache in (("off", "off"), ("memory", "memory"), ("disk", "disk"), ("again", "disk")):
        config = make_config(squares, data__cache=cache, **one)
        config.model.card.update(mean=(), std=())
        run(config, tmp_path / name)
    losses = {name: small.losses(tmp_path / name) for name in ("off", "memory", "disk", "again")}
    np.testing.assert_allclose(losses["memory"], losses["off"], rtol=1e-4)
    assert (losses["disk"] == losses["memory"]).all() and (losses["again"] == losses["disk"]).all()


@pytest.mark.parametrize("mode", parallel.MODES)
def test_a_cached_view_has_the_label_that_moved_with_it(squares, tmp_path, monkeypatch, mode):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    config = make_config(squares, data__cached_views=2, parallel=mode, **AUGMENTED)
    devices = parallel.make(mode)
    made = experiment.load(config, axis=devices.axis, pretrained_wanted=False)
    _, train = features.cached(made, None, "memory", devices, Screen(), config)
    assert train.views == 2
    part, keys = made.parts["train"], train._keys()
    rows = train.take(np.arange(len(keys)))
    assert {name for name in rows if name != "label"} == {f"features/stage{i}" for i in (1, 2, 3, 4)}
    seeds = np.array([int(hashlib.sha256(key.encode()).hexdigest()[:7], 16) for key in keys], np.int32)
    batch = part.take(np.arange(len(keys)) % len(part)) | {"position": seeds}
    expected = made.prepare(batch, jax.random.key(0), True)["label"]
    np.testing.assert_array_equal(rows["label"], expected)
    assert len({label.tobytes() for label in rows["label"]}) > len(part)  # views differ


def test_stages_that_are_not_read_cost_nothing_and_frozen_ones_no_backward_pass(squares):
    label_map = find("tasks", TASK)

    config, _ = settings.resolve(make_config(squares, data__resize=32))
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    network, x = made.network, np.zeros((1, 32, 32, 3), np.float32)
    short = network.clone(head=label_map.Head(2, stages=("stage1",)))
    variables = jax.eval_shape(short.init, jax.random.key(0), x)
    assert {"stage2", "stage3", "stage4"} <= set(variables["params"]["backbone"])  # there, and saved

    def known(variables, x):
        return network.apply(variables, x, stop="stage1", method="features")

    def costs(network, variables, x):
        return flops.count(partial(network.apply, start="head"), variables, x)

    maps = {"stage1": jax.eval_shape(known, made.variables, x)["stage1"]}
    forward = flops.count(network.apply, made.variables, x)
    assert flops.count(short.apply, variables, x) == (
        flops.count(known, made.variables, x) + costs(short, variables, maps)
    )
    every = jax.eval_shape(partial(network.apply, method="features"), made.variables, x)
    method = Method.of(find("strategies", "linear_probe"), config.strategy)
    probe = decision.cost(method, made, parallel.make("jit"), config)["operations"]
    logits = jax.eval_shape(network.apply, made.variables, x)
    loss = flops.count(label_map._large, logits, {"label": np.zeros((1, 32, 32), np.uint8)})
    assert probe <= config.train.batch_size * (forward + 2 * costs(network, made.variables, every) + 3 * loss)


def test_what_cannot_be_saved_or_read_is_said_before_anything_is_written(squares, tmp_path, monkeypatch):
    label_map = find("tasks", TASK)

    with monkeypatch.context() as patched:
        patched.setattr(label_map, "head", lambda outputs: label_map.Head(outputs, stages=("stage1", "block7")))
        with pytest.raises(ConfigError, match=r"head must read stages of the backbone \(stem, .*\); it reads block7"):
            run(make_config(squares), tmp_path / "run")
    for rows, message in {
        (Name("conv1.weight", "params", "head/conv/kernel", "conv"),): "published names used twice: conv1.weight",
        (Name("head.x", "params", "head/x"),): "named, but absent: head/x",
    }.items():
        monkeypatch.setattr(label_map, "head_names", lambda rows=rows: rows, raising=False)
        with pytest.raises(ConfigError, match=message):
            run(make_config(squares), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mask_that_does_not_fit_its_picture_is_named(squares, tmp_path):
    for file in squares.rglob("*.png"):
        copy = tmp_path / "data" / file.relative_to(squares)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    Image.fromarray(np.zeros((40, 51), np.uint8)).save(tmp_path / "data" / "masks" / "03.png")
    with pytest.raises(
        DataError, match=r"(?s)1 of .*03\.png: its label map must be \(40, 52\) uint8.*it is \(40, 51\)"
    ):
        run(make_config(tmp_path / "data"), tmp_path / "run")


def test_on_the_real_resnet_and_real_masks(shared, tmp_path, capsys):
    """ResNet-18's stages 1 to 4, Penn-Fudan's pedestrians: it trains, is saved, and predicts."""
    for kind, suffix in (("images", ".jpg"), ("masks", ".png")):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for file in sorted((shared / "data" / "pennfudan" / kind).glob(f"*{suffix}"))[:PICTURES]:
            (tmp_path / "data" / kind / file.name).symlink_to(file)
    weights = str(shared / "weights" / "resnet18_imagenet.safetensors")
    config = make_config(tmp_path / "data", model__variant="18", model__weights=weights, strategy__name="layer_decay")
    config.model.card.update(mean=(), std=())
    config.data.update(resize=72, size=64, crop=64, flip=True)
    config.train.epochs = 2.0
    result = run(config, tmp_path / "run")
    losses = small.losses(tmp_path / "run")
    assert losses[-3:].mean() < losses[:3].mean()
    assert result["metrics"]["test"]["mean_iou"] > 0.4
    picture = next((tmp_path / "data" / "images").iterdir())
    expects_to_be_saved_and_asked(tmp_path / "run", config, picture, capsys)
