"""Why: heat maps against their definitions, words by what their absence changes, layers in their order."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import small
from tljax.__main__ import main
from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE, Card
from tljax.networks.families import vit
from tljax.networks.network import with_head
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.serving.explain import heat_maps, layers, words
from tljax.tasks import classification
from tljax.weights import placement


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("explain")
    with pytest.MonkeyPatch.context() as monkeypatch:
        config = small.photographs(root / "pictures", monkeypatch)
        config.train.epochs = 1.0
        run(config, root / "run")
        files = sorted((root / "pictures" / "test").rglob("*.png"))[:3]
        yield saved_model.load(root / "run"), files, root


def inputs_of(model, images):
    return model.asked.prepare(model.asked.batch(images), jax.random.key(0), False)["inputs"]


def test_grad_cam_of_a_mean_and_a_linear_head_is_the_class_activation_map(trained):
    """Zhou et al. 2016: the last map, its channels weighted by the head's row; what speaks against is cut off."""
    model, files, _ = trained
    images = [model.asked.read(file) for file in files]
    looked = heat_maps.of(model, images, [0, 1, 2])
    inputs = inputs_of(model, images)
    maps = np.asarray(
        jax.jit(lambda x: model.network.apply(model.variables, x, EVALUATE, stop="stage2", method="encoded"))(inputs)
    )
    kernel = np.asarray(model.variables["params"]["head"]["kernel"])
    expected = np.maximum((maps * kernel[:, [0, 1, 2]].T[:, None, None]).sum(-1), 0)
    low, high = (f(expected, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    expected = (expected - low) / np.where(high > low, high - low, 1)
    np.testing.assert_allclose(looked.maps[heat_maps.CAM], expected, atol=1e-4)
    assert looked.maps[heat_maps.CAM].max() == 1


def test_gradient_x_input_is_that_of_the_logit(trained):
    model, files, _ = trained
    images = [model.asked.read(file) for file in files]
    inputs = inputs_of(model, images)
    score = jax.jit(jax.grad(lambda x: model.network.apply(model.variables, x, EVALUATE)[:, 1].sum()))
    gradient = score(inputs)
    expected = np.abs(gradient * inputs).sum(-1)
    found = heat_maps.of(model, images, [1, 1, 1]).maps[heat_maps.GRADIENT]
    low, high = expected.min((1, 2), keepdims=True), np.percentile(expected, 99, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, np.clip((expected - low) / (high - low), 0, 1), atol=1e-3)


def test_what_was_seen_are_the_pixels_again(trained):
    model, *_ = trained
    image = np.full((20, 20, 3), (10, 120, 250), np.uint8)
    seen = heat_maps.seen(model, np.asarray(inputs_of(model, [image])))
    assert seen.shape == (1, 24, 24, 3) and (seen == np.array([10, 120, 250])).all()


@pytest.fixture(scope="module")
def transformer():
    """A model of two blocks, as `heat_maps` looks at one."""
    shape = vit.variant_of({"patch": 4, "width": 16, "heads": 2, "depth": 2})
    network = with_head(vit.build(shape), classification.head(3))
    variables = placement.init(network, jnp.zeros((1, 8, 8, 3)), seed=0)
    asked = SimpleNamespace(batch=np.stack, prepare=lambda batch, key, train: {"inputs": jnp.asarray(batch)})
    card = Card((0.0,) * 3, (1.0,) * 3)
    return SimpleNamespace(network=network, variables=variables, asked=asked, card=card, classifier=None)


def test_roll_out_by_hand(transformer):
    """Abnar & Zuidema 2020: (A + I) / 2 of every block, heads averaged, one after another; the class token's row."""
    images = [np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)]
    looked = heat_maps.of(transformer, images, [1])
    network, variables = transformer.network, transformer.variables
    logits, kept = network.apply(variables, jnp.asarray(np.stack(images)), EVALUATE, mutable=["intermediates"])
    np.testing.assert_array_equal(logits, network.apply(variables, jnp.asarray(np.stack(images)), EVALUATE))
    assert "intermediates" not in variables
    blocks = [np.asarray(kept["intermediates"]["backbone"][f"block{i}"]["attn"]["weights"][0]) for i in range(2)]
    assert blocks[0].shape == (1, 2, 5, 5)
    np.testing.assert_allclose(blocks[0].sum(-1), 1, rtol=1e-5)
    first, second = ((block.mean(1)[0] + np.eye(5)) / 2 for block in blocks)
    expected = (second @ first)[0, 1:].reshape(2, 2)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(looked.maps[heat_maps.ROLLOUT][0], expected, atol=1e-4)
    assert heat_maps.CAM not in looked.maps and looked.maps[heat_maps.GRADIENT].shape == (1, 8, 8)


def test_a_classifier_that_is_no_layer_has_no_heat_map(trained):
    model, files, _ = trained
    other = SimpleNamespace(**vars(model) | {"classifier": lambda rows: rows})
    with pytest.raises(ConfigError, match="this run's classifier is none"):
        heat_maps.of(other, [model.asked.read(files[0])], [0])


def test_stages_come_input_first_and_filters_are_the_first_layers(trained):
    model, files, _ = trained
    found = layers.stages(model, model.asked.read(files[0]))
    assert list(found) == ["stem", "stage1", "stage2"]
    assert found["stem"].shape == (8, 6, 6) and found["stage2"].shape[1:] == (3, 3)
    filters = layers.filters(model)
    assert filters.shape == (8, 7, 7, 3) and filters.min() == 0 and filters.max() == 1


class Counts:
    """In the place of a predictor: 0.1 for every "good", 0.5 less for "bad"; what is empty cannot be read."""

    def answers(self, asked):
        for text in asked:
            share = 0.5 + 0.1 * text.count("good") - 0.5 * text.count("bad")
            yield text, np.array([1 - share, share]) if text.strip() else ValueError("it is empty")


def test_words_are_worth_what_their_absence_changes():
    pieces = words.of(Counts(), "a good,\n good \tbad day", 1)
    assert "".join(piece.text for piece in pieces) == "a good,\n good \tbad day"
    effects = {piece.text.strip(): round(piece.effect, 6) for piece in pieces}
    assert effects == {"a": 0.0, "good,": 0.1, "good": 0.1, "": 0.0, "bad": -0.5, "day": 0.0}
    assert words.of(Counts(), "good", 1) == [("good", 0.0)]  # nothing would be left


def test_a_long_text_is_cut_into_pieces():
    text = " ".join(f"word{i}" for i in range(500))
    pieces = words.of(Counts(), text, 0)
    assert len(pieces) <= words.MOST and "".join(piece.text for piece in pieces) == text


@pytest.mark.renders
def test_the_verb_writes_a_picture_and_prints_the_class(trained, tmp_path, capsys):
    _, files, root = trained
    out = tmp_path / "why.png"
    assert main(["explain", str(root / "run"), str(files[0]), "-o", str(out), "--class", "bee"]) == 0
    assert f"{files[0]}  bee 0." in capsys.readouterr().out and out.stat().st_size > 10_000
    assert main(["explain", str(root / "run"), str(files[0]), "-o", str(out), "--class", "wasp"]) == 2
    assert "--class must be one of ant, bee, fly; got 'wasp'" in capsys.readouterr().err
    assert main(["explain", str(root / "run"), str(files[0]), "-o", "x.gif"]) == 2
    capsys.readouterr()
    (tmp_path / "nine.png").touch()
    assert main(["explain", str(root / "run"), str(tmp_path / "none.png"), "-o", str(out)]) == 3
    said = capsys.readouterr().err
    assert "none.png is not: there is no such file. Near it there is '" in said and "nine.png'." in said
    assert main(["explain", str(root / "run"), str(tmp_path), "-o", str(out)]) == 3
    assert "is a folder. Name a picture in it." in capsys.readouterr().err
