"""MobileNetV2 and V3 against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import mobilenet
from tljax.weights import placement

PARAMETERS = {"v2": 3_504_872, "v3_small": 2_542_856, "v3_large": 5_483_032}
VARIANTS = tuple(PARAMETERS)
STAGES = {
    "v2": ("stem", *(f"stage{i}" for i in range(1, 8)), "top"),
    "v3_small": ("stem", *(f"stage{i}" for i in range(1, 6)), "top", "fc"),
    "v3_large": ("stem", *(f"stage{i}" for i in range(1, 7)), "top", "fc"),
}
TRAIN = Mode(train=True)
SMALL = (2, 32, 32, 3)


def net(variant: str = "v3_small", **options):
    return shared.network(mobilenet, variant, **options)


# Parity


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_stage_and_the_logits_are_torchs(variant):
    found = shared.differences(mobilenet, net(variant), f"mobilenet_{variant}", draw.INPUTS[1:])
    assert {stage for _, stage, *_ in found} == {*STAGES[variant], "logits"}
    assert {key: value for key, value in found.items() if not value <= 1e-5} == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_shapes_and_counts_are_the_published_ones(variant):
    assert shared.published_shapes(mobilenet, net(variant)) == shared.stored_shapes(f"mobilenet_{variant}")
    assert count(shared.shapes(net(variant))["params"]) == PARAMETERS[variant]
    assert net(variant).backbone.stages == STAGES[variant]
    assert tuple(mobilenet.VARIANTS) == VARIANTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_name_table_covers_every_variable_once(variant):
    rows, tree = mobilenet.names(variant), shared.shapes(net(variant))
    variables = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == variables
    assert len(rows) == len(variables) == len({row.published for row in rows})


@pytest.mark.parametrize("variant", VARIANTS)
def test_place_and_publish_are_inverse(variant):
    arrays = shared.drawn_arrays(mobilenet, net(variant))
    back = placement.publish(shared.drawn(mobilenet, net(variant)), mobilenet.names(variant))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].flags.c_contiguous, name
        np.testing.assert_array_equal(back[name], array, err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variant_shows_in_the_tensors(variant):
    arrays = shared.drawn_arrays(mobilenet, net(variant))
    assert mobilenet.infer(arrays, None) == mobilenet.VARIANTS[variant]
    with pytest.raises(KeyError, match="a network other than v2, v3_small, v3_large"):
        mobilenet.infer({name: arrays[name] for name in list(arrays)[5:]}, None)


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'mobilenet' must be one of v2, v3_small, v3_large; got 'v4'"):
        mobilenet.build("v4")


# Conventions


def norms(variant: str) -> set[tuple[float, float]]:
    """Epsilon and momentum of every BatchNorm."""
    found = set()

    def record(call, args, kwargs, context):
        if isinstance(context.module, nn.BatchNorm):
            found.add((context.module.epsilon, context.module.momentum))
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(net(variant).init, jax.random.key(0), jnp.zeros(SMALL))
    return found


def test_batch_norms_are_torchvisions():
    assert norms("v2") == {(1e-5, 0.9)}
    assert norms("v3_small") == norms("v3_large") == {(1e-3, 0.99)}


@pytest.mark.parametrize(("variant", "last"), [("v2", "top"), ("v3_small", "fc")])
def test_a_fifth_of_what_the_head_is_given_is_dropped_in_training(variant, last):
    stages, variables = STAGES[variant], shared.drawn(mobilenet, net(variant))
    shape = {"top": (8, 2, 2, 320), "fc": (8, 576)}[last]

    def run(mode, **rngs):
        method = lambda net, x: net.backbone(x, mode, start=last)  # noqa: E731
        out, _ = net(variant).apply(variables, draw.image(shape), method=method, rngs=rngs, mutable=["batch_stats"])
        return np.asarray(out)

    # With BatchNorm frozen, dropout alone is left of training.
    frozen = {"top": Mode(train=True, frozen=frozenset({"backbone/top/bn"})), "fc": TRAIN}[last]
    evaluated, trained = run(EVALUATE), run(frozen, dropout=jax.random.key(0))
    alive = evaluated != 0
    kept = trained[alive] != 0
    assert abs(kept.mean() - 0.8) < 4 * np.sqrt(0.16 / alive.sum())  # four standard deviations
    np.testing.assert_allclose(trained[alive][kept], evaluated[alive][kept] / 0.8, rtol=1e-6)
    np.testing.assert_array_equal(run(Mode(train=True, frozen=frozenset({f"backbone/{last}"}))), evaluated)
    assert stages[-1] == last


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    low, x = net(dtype=jnp.bfloat16), jnp.zeros(SMALL)
    initial = shared.shapes(low)
    for stop, dtype in (("stage2", jnp.bfloat16), ("top", jnp.float32), ("fc", jnp.bfloat16), (None, jnp.float32)):
        output = jax.eval_shape(lambda v, stop=stop: low.apply(v, x, EVALUATE, stop=stop, method="features"), initial)
        assert output.dtype == dtype, stop
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(initial)} == {"float32"}
