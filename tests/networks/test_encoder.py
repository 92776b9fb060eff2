"""What text encoders share: stages, the mask, pooling, dropout and freezing, and which tokens are refused."""

import dataclasses
import itertools
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference import ours, ours_text

from tljax.core import layer_groups
from tljax.core.errors import ConfigError, DataError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks import encoder, ops
from tljax.networks.encoder import POOLINGS, Variant
from tljax.training import optimizer
from tljax.weights import placement

TRAIN = Mode(train=True)
BERT = ours_text.narrow("bert")
STILL = {"dropout": 0.0, "attention_dropout": 0.0}
X = ours_text.tokens("bert")
LABELS = np.array([3, 9, 0])


def small(shape: Variant = BERT, **options: Any):
    """A network of two blocks and its drawn variables."""
    net = ours_text.network(shape, **options)
    return net, ours_text.drawn("bert", ours_text.network(shape))


def hidden(net, variables, x, stop="block1", mode=EVALUATE, seed=0):
    rngs = {"dropout": jax.random.key(seed)}
    return net.apply(variables, x, mode, stop=stop, method="features", rngs=rngs)["hidden"]


# Stages


@pytest.mark.parametrize("pooling", POOLINGS)
def test_two_partial_runs_are_the_whole_run(pooling):
    net, variables = small(dataclasses.replace(BERT, pooling=pooling))
    assert net.backbone.stages == ("embed", "block0", "block1", "pool")
    whole = net.apply(variables, X)
    for stop, start in itertools.pairwise(net.backbone.stages):
        middle = net.apply(variables, X, EVALUATE, stop=stop, method="features")
        assert set(middle) == {"hidden", "mask"} and middle["hidden"].shape == (3, 10, 32)
        np.testing.assert_array_equal(net.apply(variables, middle, start=start), whole)
    features = net.apply(variables, X, method="features")
    assert features.shape == (3, 32)
    np.testing.assert_array_equal(net.apply(variables, X, EVALUATE, stop="pool", method="features"), features)


def test_partial_runs_create_only_their_own_parameters():
    net, variables = small()
    key = jax.random.key(0)
    front = jax.eval_shape(lambda: net.init(key, X, EVALUATE, stop="block0", method="features"))
    middle = {"hidden": jnp.zeros((3, 10, 32)), "mask": X["mask"]}
    back = jax.eval_shape(lambda: net.init(key, middle, start="block1"))
    assert set(front["params"]["backbone"]) == {"embed", "block0"}
    assert set(back["params"]["backbone"]) == {"block1", "pool"} and "head" in back["params"]
    assert count(front["params"]) + count(back["params"]) == count(variables["params"])


def test_pool_without_parameters_is_in_no_group():
    for pooling, expected in (("pooler", ["embed", "block0", "block1", "pool", "head"]), ("mean", None)):
        net = ours_text.network(dataclasses.replace(BERT, pooling=pooling))
        groups = layer_groups.assign(placement.shapes(net, X)["params"], net.backbone.stages, {})
        assert list(groups) == (expected or ["embed", "block0", "block1", "head"])


# Pooling and the mask


def test_features_are_the_first_token_the_mean_over_the_mask_or_the_poolers():
    states = np.asarray(hidden(*small(), X))
    pooler = small()[1]["params"]["backbone"]["pool"]["dense"]
    mean = np.stack([row[:length].mean(axis=0) for row, length in zip(states, (10, 7, 4), strict=True)])
    expected = {
        "class": states[:, 0],
        "mean": mean,
        "normalised": mean / np.sqrt((mean**2).sum(axis=1))[:, None],
        "class_normalised": states[:, 0] / np.sqrt((states[:, 0] ** 2).sum(axis=1))[:, None],
        "pooler": np.tanh(states[:, 0] @ pooler["kernel"] + pooler["bias"][None]),
    }
    for pooling, features in expected.items():
        net, variables = small(dataclasses.replace(BERT, pooling=pooling))
        np.testing.assert_allclose(net.apply(variables, X, method="features"), features, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "pooling"), [("bert", "pooler"), ("bert", "mean"), ("roberta", "mean"), ("distilbert", "class")]
)
def test_what_stands_in_the_padding_changes_nothing(family, pooling):
    shape = ours_text.narrow(family, pooling=pooling)
    net, x = ours_text.network(shape), ours_text.tokens(family)
    variables, mask = ours_text.drawn(family, net), x["mask"]
    other = {**x, "ids": np.where(mask, x["ids"], 17), "types": np.where(mask, x["types"], 1)}
    assert (other["ids"] != x["ids"]).sum() == 3 + 6
    for stop in ("embed", "block0", "block1"):
        before, after = hidden(net, variables, x, stop), hidden(net, variables, other, stop)
        np.testing.assert_array_equal(after[mask], before[mask])
        assert np.abs(after - before)[~mask].max() > 0.1
    np.testing.assert_array_equal(net.apply(variables, other), net.apply(variables, x))


@pytest.mark.parametrize("family", ours_text.FAMILIES)
def test_more_padding_changes_nothing(family):
    net, x = ours_text.network(ours_text.narrow(family)), ours_text.tokens(family)
    variables = ours_text.drawn(family, net)
    wider = {name: np.pad(array, ((0, 0), (0, 6))) for name, array in x.items()}
    assert ours.difference(net.apply(variables, wider), net.apply(variables, x)) < 1e-6


def test_every_token_counts():
    net, variables = small(dataclasses.replace(BERT, pooling="class"))
    for place in range(10):
        other = {**X, "ids": X["ids"].copy()}
        other["ids"][0, place] = (X["ids"][0, place] - 1) % 50
        assert np.abs(net.apply(variables, other) - net.apply(variables, X))[0].max() > 1e-3


# Conventions


def test_gelu_is_exact():
    # At 2 the tanh form is 8e-5 above.
    shape = dataclasses.replace(BERT, width=4, units=4)
    eye = {"kernel": jnp.eye(4), "bias": jnp.zeros(4)}
    y = encoder.Mlp(shape, jnp.float32).apply({"params": {"fc1": eye, "fc2": eye}}, jnp.full((1, 1, 4), 2.0), EVALUATE)
    np.testing.assert_allclose(y[0, 0], 2 * 0.9772498680518208, rtol=1e-6)


def test_epsilon_is_the_variants():
    # Embeddings of the deviation 1e-3: an eps of 1e-6 is as large as their variance, 1e-12 is nothing.
    for epsilon, expected in ((1e-12, 1.0), (1e-6, np.sqrt(0.5))):
        net, variables = small(dataclasses.replace(BERT, epsilon=epsilon))
        embed = jax.tree.map(np.zeros_like, variables["params"]["backbone"]["embed"])
        embed["word"]["embedding"] += np.where(np.arange(32) % 2, 1e-3, -1e-3)[None]
        embed["norm"]["scale"] += 1
        states = net.backbone.apply({"params": {"embed": embed}}, X, stop="embed")["hidden"]
        np.testing.assert_allclose(np.abs(states), expected, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bfloat16_computes_in_bfloat16_on_float32_parameters(pooling):
    shape = dataclasses.replace(BERT, pooling=pooling)
    (net, variables), (exactly, _) = small(shape, dtype="bfloat16"), small(shape)
    features, exact = (n.apply(variables, X, method="features") for n in (net, exactly))
    assert (hidden(net, variables, X).dtype, features.dtype) == (jnp.bfloat16, jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(placement.shapes(net, X))} == {np.dtype(np.float32)}
    # Some 30 roundings to 8 bits, each by up to 2**-9, add up as a random walk's: sqrt(30) * 2**-9 = 1.1 %
    # of what goes into tanh, whose slope is at most 1.
    largest = np.abs(np.arctanh(exact) if pooling == "pooler" else exact).max()
    assert 1e-5 < ours.difference(features, exact, largest) < 0.022


# Dropout


def test_without_dropout_training_is_evaluation():
    net, variables = small(dataclasses.replace(BERT, **STILL))
    np.testing.assert_array_equal(net.apply(variables, X, TRAIN), net.apply(variables, X))


def test_attention_written_out_for_dropout_is_the_fused_one():
    # At this rate the weights are written out, and the chance that one of them is dropped is nothing.
    net, variables = small(dataclasses.replace(BERT, dropout=0.0, attention_dropout=1e-30))
    assert ours.difference(hidden(net, variables, X, mode=TRAIN), hidden(net, variables, X)) < 1e-6


@pytest.mark.parametrize(
    ("rate", "mode", "fused"),
    [
        (0.1, EVALUATE, 2),
        (0.1, TRAIN, 0),
        (0.1, Mode(train=True, frozen=frozenset({"backbone/embed", "backbone/block0"})), 1),
        (0.0, TRAIN, 2),
    ],
)
def test_attention_is_written_out_only_where_its_weights_are_dropped(rate, mode, fused):
    net, variables = small(dataclasses.replace(BERT, attention_dropout=rate))
    calls = mock.Mock(wraps=jax.nn.dot_product_attention)
    with mock.patch.object(jax.nn, "dot_product_attention", calls), ops.plain():  # as on an accelerator
        jax.eval_shape(lambda: net.apply(variables, X, mode, rngs={"dropout": jax.random.key(0)}))
    assert calls.call_count == fused


def attention(rates: dict[str, float], seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """What attention adds without dropout, and with it under so many seeds: (B, L, D) and (seeds, B, L, D)."""
    module = encoder.Attention(dataclasses.replace(BERT, **STILL | rates), jnp.float32)
    _, variables = small()
    params = {"params": variables["params"]["backbone"]["block0"]["attention"]}
    x = hidden(*small(), X, "embed")

    def run(seed):
        return module.apply(params, x, X["mask"], TRAIN, rngs={"dropout": jax.random.key(seed)})

    return module.apply(params, x, X["mask"], EVALUATE), jax.jit(jax.vmap(run))(np.arange(seeds))


@pytest.mark.parametrize("rates", [{"dropout": 0.25}, {"attention_dropout": 0.25}])
def test_dropout_keeps_the_mean(rates):
    still, drawn = attention(rates, 2000)
    error = np.abs(drawn.mean(axis=0) - still).max()
    spread = drawn.std(axis=0).max()
    assert spread > 0.05 and error < 5 * spread / np.sqrt(2000)


def test_dropout_zeroes_a_share_of_what_attention_adds():
    still, drawn = attention({"dropout": 0.25}, 50)
    dropped = drawn == 0
    assert 0.24 < dropped.mean() < 0.26  # of 48,000
    kept = np.broadcast_to(still / 0.75, drawn.shape)[~dropped]
    np.testing.assert_allclose(drawn[~dropped], kept, rtol=1e-5, atol=1e-5)  # of up to 10


def test_published_dropout_acts_in_training_at_each_of_its_places():
    variables = small()[1]
    for rates in ({"dropout": 0.1, "attention_dropout": 0.0}, {"dropout": 0.0, "attention_dropout": 0.1}):
        net = small(dataclasses.replace(BERT, **rates))[0]
        stop = "embed" if rates["dropout"] else "block0"
        assert ours.difference(hidden(net, variables, X, stop, TRAIN, 0), hidden(net, variables, X, stop)) > 0.01
        first, same, other = (hidden(net, variables, X, stop, TRAIN, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, same)
        assert np.abs(first - other).max() > 0.01
    assert (BERT.dropout, BERT.attention_dropout) == (0.1, 0.1)


# Freezing


@pytest.mark.parametrize(
    "frozen", [{"backbone"}, {"backbone/embed", "backbone/block0", "backbone/block1", "backbone/pool"}]
)
def test_frozen_stages_compute_what_evaluation_computes(frozen):
    net, variables = small()
    rngs = {"dropout": jax.random.key(0)}
    found = net.apply(variables, X, Mode(train=True, frozen=frozenset(frozen)), rngs=rngs)
    np.testing.assert_array_equal(found, net.apply(variables, X))


def test_a_frozen_part_of_a_block_drops_nothing():
    net, variables = small()
    block = net.backbone.clone(variant=dataclasses.replace(BERT, depth=1, pooling="class"))
    params = {name: variables["params"]["backbone"][name] for name in ("embed", "block0")}

    def run(*frozen):
        mode, rngs = Mode(train=True, frozen=frozenset(frozen)), {"dropout": jax.random.key(0)}
        return block.apply({"params": params}, X, mode, rngs=rngs)

    evaluated = block.apply({"params": params}, X)
    np.testing.assert_array_equal(run("embed", "block0/attention", "block0/mlp"), evaluated)
    for awake in ({"block0/mlp"}, {"block0/attention"}, {"embed"}):
        still = {"embed", "block0/attention", "block0/mlp"} - awake
        assert ours.difference(run(*still), evaluated) > 0.01, awake


def test_gradients_reach_what_learns_and_nothing_else():
    net, variables = small()
    groups = layer_groups.assign(variables["params"], net.backbone.stages, {})
    learning = ("block1", "pool", "head")
    mode = Mode(True, layer_groups.frozen_modules(groups, learning))
    learns, rest = optimizer.split(variables["params"], optimizer.labels(groups, learning))

    def loss_of(learns):
        params = {"params": optimizer.merge(learns, rest)}
        logits = net.apply(params, X, mode, rngs={"dropout": jax.random.key(0)})
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    grads = {path: g for path, g in flatten(jax.grad(loss_of)(learns)).items() if isinstance(g, jax.Array)}
    assert set(grads) == {path for group in learning for path in groups[group]}
    # A key's bias shifts all scores of a query alike: nothing depends on it.
    assert {path for path, g in grads.items() if np.abs(g).max() < 1e-7} <= {"backbone/block1/attention/key/bias"}


def test_gradients_of_embeddings_reach_the_tokens_that_occur_and_no_padding():
    net, variables = small(dataclasses.replace(BERT, **STILL))
    x = {**X, "ids": np.where(X["mask"], X["ids"], 49)}
    x["ids"] = np.where(X["mask"] & (x["ids"] == 49), 48, x["ids"])

    def loss_of(params):
        logits = net.apply({"params": params}, x, TRAIN)
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    grads = jax.grad(loss_of)(variables["params"])["backbone"]["embed"]
    moved = np.flatnonzero(np.abs(grads["word"]["embedding"]).max(axis=1))
    assert set(moved) == set(x["ids"][x["mask"]]) and 49 not in moved
    assert set(np.flatnonzero(np.abs(grads["position"]["embedding"]).max(axis=1))) == set(range(10))


# Bad tokens


def test_more_tokens_than_positions_are_refused():
    net, variables = small()
    x = ours_text.tokens("bert", (1, 25))
    with pytest.raises(ConfigError, match=r"for 24 tokens; texts are cut to 25\. Lower config"):
        net.apply(variables, x)


def changed(name: str, place: tuple[Any, ...], value: int) -> dict[str, np.ndarray]:
    array = X[name].copy()
    array[place] = value
    return {**X, name: array}


def test_an_id_beyond_the_vocabulary_is_nan_on_the_device_and_refused_on_the_host():
    net, variables = small()
    encoder.check(X, BERT)
    bad = changed("ids", (1, 2), 50)
    assert np.isnan(net.apply(variables, bad)).any(axis=1).tolist() == [False, True, False]
    with pytest.raises(DataError, match=r"1 ids out of range 0\.\.49: 50 in text 1 at 2"):
        encoder.check(bad, BERT)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (changed("ids", (0, 0), -1), r"1 ids out of range 0\.\.49: -1 in text 0 at 0"),
        (changed("types", (2, 9), 2), r"1 types out of range 0\.\.1: 2 in text 2 at 9"),
        (changed("mask", (0, 0), False), r"1 texts with padding before a token: 0"),
        (changed("mask", (1, 4), False), r"1 texts with padding before a token: 1"),
        (changed("mask", (2,), False), r"1 texts with padding before a token: 2"),
        (changed("ids", (...,), 99), r"30 ids out of range 0\.\.49: (99 in text 0 at \d, ){4}99 in text 0 at 4\n"),
    ],
)
def test_tokens_that_do_not_fit_are_refused_with_their_places(tokens, said):
    with pytest.raises(DataError, match=said) as caught:
        encoder.check(tokens, BERT)
    assert "Use the tokenizer that was published with the weights." in str(caught.value)


def test_types_count_only_where_there_are_two():
    one, seven = ({**X, "types": np.full_like(X["types"], kind)} for kind in (0, 7))
    for family in ("roberta", "distilbert"):
        net = ours_text.network(ours_text.narrow(family))
        variables = ours_text.drawn(family, net)
        encoder.check(seven, net.backbone.variant)
        logits = net.apply(variables, seven)
        assert np.isfinite(logits).all()
        np.testing.assert_array_equal(logits, net.apply(variables, one))
    net, variables = small()
    assert np.abs(net.apply(variables, X) - net.apply(variables, one))[0].max() > 1e-3


def test_all_bad_tokens_stand_in_one_error():
    with pytest.raises(DataError) as caught:
        encoder.check({**changed("ids", (0, 1), 50), "types": changed("types", (0, 1), 2)["types"]}, BERT)
    assert "1 ids out of range" in str(caught.value) and "1 types out of range" in str(caught.value)


@pytest.mark.parametrize(("family", "told"), [("bert", True), ("roberta", False), ("distilbert", False)])
def test_only_bert_is_told_which_text_of_a_pair_a_token_is_of(family, told):
    """RoBERTa's published table has one row, DistilBERT none: types change nothing there."""
    net, x = ours_text.network(ours_text.narrow(family)), ours_text.tokens(family)
    variables = ours_text.drawn(family, net)
    second = {**x, "types": np.where(np.arange(x["ids"].shape[1]) > 2, 1, 0) * np.ones_like(x["ids"])}
    first = {**x, "types": np.zeros_like(x["ids"])}
    one, two = (np.asarray(net.apply(variables, given, method="features")) for given in (first, second))
    assert np.isfinite(two).all() and (np.abs(one - two).max() > 1e-3) == told
