"""The head over hidden places: by hand, tied to the word embeddings, and drawn the same alone and in the network."""

import jax
import numpy as np
from reference import draw, ours_text
from scipy.special import erf

from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.encoder import Encoder
from tljax.networks.masked_network import Head, MaskedNetwork
from tljax.weights import placement

SHAPE = ours_text.narrow("bert", pooling="class")
NETWORK = MaskedNetwork(Encoder(SHAPE), Head(SHAPE))
apply = jax.jit(NETWORK.apply, static_argnames=("mode", "start", "method"))


def given():
    x = ours_text.tokens("bert", (3, 10))
    places = np.array([[1, 4, 0], [2, 0, 1], [3, 1, 2]], np.int32)
    return {**x, "places": places, "weight": np.ones((3, 3), np.float32)}


def variables():
    shapes = {path: leaf.shape for path, leaf in flatten(placement.shapes(NETWORK, given())["params"]).items()}
    return {"params": placement.unflatten(draw.weights(shapes))}


def test_the_head_by_hand():
    params, x = variables()["params"], given()
    hidden = NETWORK.backbone.apply({"params": params["backbone"]}, x, stop="block1")["hidden"]
    head, y = params["head"], np.take_along_axis(np.asarray(hidden), x["places"][..., None], 1).astype(np.float64)
    y = y @ head["dense"]["kernel"] + head["dense"]["bias"]
    y = y * (1 + erf(y / np.sqrt(2))) / 2
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + SHAPE.epsilon)
    y = y * head["norm"]["scale"] + head["norm"]["bias"]
    expected = y @ params["backbone"]["embed"]["word"]["embedding"].T + head["bias"]
    found = apply({"params": params}, x)
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert found["logits"].shape == (3, 3, SHAPE.vocabulary) and found["logits"].dtype == np.float32
    np.testing.assert_array_equal(found["places"], x["places"])


def test_the_last_layer_is_the_word_embeddings_gradient_and_all():
    x = given()
    absent = np.setdiff1d(np.arange(SHAPE.vocabulary), x["ids"])

    def loss(params):
        return NETWORK.apply({"params": params}, x)["logits"][..., absent[0]].sum()

    grads = jax.jit(jax.grad(loss))(variables()["params"])["backbone"]["embed"]["word"]["embedding"]
    assert np.abs(grads[absent[0]]).max() > 0 and not np.abs(grads[absent[1:]]).max()
    assert np.abs(grads[x["ids"][0, 0]]).max() > 0


def test_features_are_what_the_head_is_given():
    params, x = variables(), given()
    features = apply(params, x, method="features")
    np.testing.assert_allclose(
        apply(params, features, start="head")["logits"], apply(params, x)["logits"], rtol=1e-5, atol=1e-5
    )


def test_dropout_is_of_training_alone_and_not_of_what_is_frozen():
    params, x, rng = variables(), given(), {"dropout": jax.random.key(0)}
    still = apply(params, x, mode=EVALUATE)["logits"]
    assert (apply(params, x, mode=Mode(True), rngs=rng)["logits"] != still).any()
    frozen = Mode(True, frozenset({"backbone"}))
    np.testing.assert_array_equal(apply(params, x, mode=frozen, rngs=rng)["logits"], still)


def test_a_head_drawn_alone_is_that_of_the_whole_network():
    whole = flatten(placement.init(NETWORK, given(), seed=3)["params"])
    head = [path for path in whole if path.startswith("head/")]
    alone = flatten(placement.init(NETWORK, given(), seed=3, only=head)["params"])
    assert sorted(head) == ["head/bias", "head/dense/bias", "head/dense/kernel", "head/norm/bias", "head/norm/scale"]
    assert alone.keys() == set(head)
    for path in head:
        np.testing.assert_array_equal(alone[path], whole[path])
