"""Networks of inverted residual blocks by hand, on a small one: gates, dropping, freezing, stages, learning."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.errors import InvalidRngError
from sklearn.datasets import load_digits

from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.inverted_residual import (
    InvertedResidual,
    InvertedResidualNet,
    Sizes,
    SqueezeExcite,
    Variant,
    divisible,
)
from tljax.networks.network import Network

SMALL = Variant(
    8,
    ((Sizes(8, 8),), (Sizes(16, 8, 5, 2), Sizes(24, 8, squeezed=4, activation="hard_swish"))),
    top=16,
    dense=12,
    activation="silu",
    gate="hard_sigmoid",
)
STAGES = ("stem", "stage1", "stage2", "top", "fc")
TRAIN = Mode(train=True)
X = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)


def network(**options):
    return Network(InvertedResidualNet(SMALL, **options), nn.Dense(10))


@pytest.fixture(scope="module")
def variables():
    return jax.jit(network().init)(jax.random.key(0), X)


def seed(number: int) -> dict:
    return {"dropout": jax.random.key(number)}


def test_divisible_takes_off_less_than_a_tenth():
    assert [divisible(n) for n in (1, 8, 11.9, 12, 16, 18, 22, 36, 120)] == [8, 8, 16, 16, 16, 24, 24, 40, 120]
    assert [divisible(n) for n in (82, 90, 99.9)] == [80, 88, 96]


def test_squeeze_excite_by_hand():
    x, rng = X[..., :2], np.random.default_rng(1)
    shapes = {"reduce": (1, 1, 2, 3), "expand": (1, 1, 3, 2)}
    kernels = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    params = {name: {"kernel": kernel, "bias": kernel[0, 0, 0] / 2} for name, kernel in kernels.items()}
    y = SqueezeExcite(3, "relu", "hard_sigmoid", jnp.float32).apply({"params": params}, x)
    reduce, expand = params["reduce"], params["expand"]
    squeezed = np.maximum(x.mean((1, 2)) @ reduce["kernel"][0, 0] + reduce["bias"], 0)
    gate = np.clip(squeezed @ expand["kernel"][0, 0] + expand["bias"] + 3, 0, 6) / 6
    np.testing.assert_allclose(y, x * gate[:, None, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "layers"),
    [
        (Sizes(8, 8), {"depthwise", "project"}),
        (Sizes(16, 8), {"expand", "depthwise", "project"}),
        (Sizes(16, 12, squeezed=4, stride=2), {"expand", "depthwise", "squeeze_excite", "project"}),
    ],
)
def test_a_block_has_the_layers_that_its_sizes_ask_for(sizes, layers):
    block = InvertedResidual(sizes, SMALL, 0.0, jnp.float32, None)
    x = jnp.zeros((2, 7, 7, 8))
    output, initial = jax.eval_shape(lambda: block.init_with_output(jax.random.key(0), x, EVALUATE))
    assert set(initial["params"]) == layers
    assert output.shape == ((2, 4, 4, 12) if sizes.stride == 2 else (2, 7, 7, 8))


# Stages


@pytest.mark.parametrize(("stop", "start"), list(itertools.pairwise(STAGES)))
def test_two_partial_runs_are_the_whole_run(variables, stop, start):
    net = network()
    middle = net.apply(variables, X, EVALUATE, stop=stop, method="features")
    np.testing.assert_array_equal(net.apply(variables, middle, start=start), net.apply(variables, X))


def test_partial_runs_create_only_their_own_parameters():
    key, net = jax.random.key(0), network()
    front = jax.eval_shape(lambda: net.init(key, X, EVALUATE, stop="stage1", method="features"))["params"]
    back = jax.eval_shape(lambda: net.init(key, jnp.zeros((4, 8, 8, 8)), start="stage2"))["params"]
    assert set(front["backbone"]) == {"stem", "stage1"}
    assert set(back) == {"backbone", "head"} and set(back["backbone"]) == {"stage2", "top", "fc"}


@pytest.mark.parametrize("frozen", ["backbone/stem", "backbone/stage2/block1", "backbone/top", "backbone"])
def test_only_frozen_batch_statistics_stay_as_they_were(variables, frozen):
    mode = Mode(train=True, frozen=frozenset({frozen}))
    _, new = network().apply(variables, X, mode, mutable=["batch_stats"])
    old, new = flatten(variables["batch_stats"]), flatten(new["batch_stats"])
    stayed = {path for path in old if np.array_equal(old[path], new[path])}
    assert stayed == {path for path in old if f"{path}/".startswith(f"{frozen}/")} != set()


# Dropping


def run_block(drop_path: float, mode: Mode, rngs: dict | None = None) -> np.ndarray:
    """What a block adds to 256 maps, its BatchNorms on stored statistics."""
    block, x = InvertedResidual(Sizes(8, 8), SMALL, drop_path, jnp.float32, None), np.ones((256, 2, 2, 8), np.float32)
    initial = block.init(jax.random.key(0), x[:1], EVALUATE)
    return np.asarray(block.apply(initial, x, mode, rngs=rngs)) - x


def test_a_block_is_dropped_for_whole_examples_and_else_scaled():
    norms = frozenset({"expand", "depthwise", "project"})
    whole, trained = run_block(0.25, EVALUATE), run_block(0.25, Mode(train=True, frozen=norms), seed(0))
    dropped = np.array([not row.any() for row in trained])
    assert abs(dropped.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 256)  # four standard deviations
    np.testing.assert_allclose(trained[~dropped], whole[~dropped] / 0.75, rtol=1e-4, atol=1e-6)


def test_rates_rise_evenly_from_0_and_the_head_drops_behind_the_last_stage_alone():
    paths, dropouts = [], []

    def record(call, args, kwargs, context):
        if isinstance(context.module, InvertedResidual):
            paths.append(context.module.drop_path)
        elif isinstance(context.module, nn.Dropout) and not context.module.broadcast_dims:
            dropouts.append(("/".join(context.module.path[:-1]), context.module.rate))
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(network(drop_path=0.3, dropout=0.2).init, jax.random.key(0), X)
    np.testing.assert_allclose(paths, [0, 0.1, 0.2])
    assert dropouts == [("backbone/top", 0.0), ("backbone/fc", 0.2)]


def test_frozen_stages_and_evaluation_drop_nothing(variables):
    net = network(drop_path=0.9, dropout=0.5)
    whole = network().apply(variables, X)
    np.testing.assert_array_equal(net.apply(variables, X), whole)
    frozen = Mode(train=True, frozen=frozenset({"backbone"}))
    np.testing.assert_array_equal(net.apply(variables, X, frozen), whole)  # without an rng
    learns = Mode(train=True, frozen=frozenset({"backbone/stem", "backbone/stage1", "backbone/top", "backbone/fc"}))
    first, second = (net.apply(variables, X, learns, rngs=seed(i), mutable=["batch_stats"])[0] for i in (0, 1))
    assert (first != second).any()
    with pytest.raises(InvalidRngError, match="dropout"):
        net.apply(variables, X, TRAIN, mutable=["batch_stats"])


# Learning


def test_it_learns_digits(variables):
    """From its initial values to a third of the loss of guessing, log 10, in 80 steps of 64 pictures."""
    digits, net = load_digits(), network(dropout=0.1, drop_path=0.1)
    pictures = np.repeat(np.kron(digits.images, np.ones((2, 2)))[..., None], 3, axis=-1).astype(np.float32) / 8 - 1
    tx = optax.adam(1e-2)

    @jax.jit
    def step(state, rng, x, labels):
        params, stats, opt_state = state

        def loss(params):
            logits, new = net.apply(
                {"params": params, "batch_stats": stats}, x, TRAIN, mutable=["batch_stats"], rngs={"dropout": rng}
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new["batch_stats"]

        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state)
        return (optax.apply_updates(params, updates), stats, opt_state), value

    state, losses = (variables["params"], variables["batch_stats"], tx.init(variables["params"])), []
    for i in range(80):
        where = np.arange(64 * i, 64 * i + 64) % len(pictures)
        state, value = step(state, jax.random.key(i), pictures[where], digits.target[where])
        losses.append(float(value))
    assert np.mean(losses[:3]) > 1.8 and np.mean(losses[-5:]) < np.log(10) / 3, losses
