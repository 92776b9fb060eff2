"""SSF: a scale and a shift after every layer, merged into it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten, unflatten
from tljax.networks.network import Network
from tljax.networks.vision_transformer import Variant, ViT
from tljax.transfer.strategies import ssf

NETWORK = Network(ViT(Variant(8, 12, 2, 1, qkv_bias=False)), nn.Dense(3))
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 16, 3)), jnp.float32)


def begun(**keys):
    params = NETWORK.init(jax.random.key(0), X)["params"]
    config = default.get_config().strategy
    config.update(keys)
    paths = tuple(flatten(params))
    groups = {
        "backbone": tuple(p for p in paths if not p.startswith("head")),
        "head": tuple(p for p in paths if p.startswith("head")),
    }
    return *ssf.initialize(params, groups, config, stages=NETWORK.backbone.stages, seed=0), config


def test_merged_into_the_layers_it_is_the_scale_and_shift_of_every_output():
    params, groups, config = begun(deviation=0.3)
    learned = flatten(params["ssf"])

    inside = []  # the last norm calls LayerNorm's own __call__: one layer, intercepted twice

    def scaled(call, args, kwargs, context):
        layer = "/".join(context.module.path[1:])
        if layer in inside or f"{layer}/gamma" not in learned:
            return call(*args, **kwargs)
        inside.append(layer)
        y = call(*args, **kwargs)
        inside.remove(layer)
        gamma, beta = (np.broadcast_to(learned.get(f"{layer}/{name}", 0), y.shape) for name in ("gamma", "beta"))
        return y * gamma + beta

    with nn.intercept_methods(scaled):
        expected = NETWORK.apply({"params": {"backbone": params["backbone"], "head": params["head"]}}, X)
    merged = ssf.effective(params, config)
    np.testing.assert_allclose(NETWORK.apply({"params": merged}, X), expected, rtol=1e-4, atol=1e-5)
    assert "block0/attn/qkv/beta" not in learned  # it has no bias
    assert set(groups["ssf"]) == {f"ssf/{path}" for path in learned} and list(groups)[-1] == "head"
    # Every other array, the positions and the class token among them, is the pretrained one.
    before, after = flatten(params["backbone"]), flatten(merged["backbone"])
    assert {path for path in before if (before[path] == after[path]).all()} == {"embed/cls_token", "embed/pos_embed"}


def test_the_start_is_normal_around_the_pretrained_network():
    params, _, config = begun()
    learned = flatten(params["ssf"])
    for name, mean in (("gamma", 1.0), ("beta", 0.0)):
        values = np.concatenate([x for path, x in learned.items() if path.endswith(name)])
        assert values.mean() == pytest.approx(mean, abs=0.006) and values.std() == pytest.approx(0.02, rel=0.2)
    exact, _, config = begun(deviation=0.0)
    merged = flatten(ssf.effective(exact, config)["backbone"])
    assert all((np.asarray(x) == merged[path]).all() for path, x in flatten(exact["backbone"]).items())


def test_layers_are_chosen_by_stage_and_none_is_an_error():
    params, *_ = begun(layers="block0")
    assert set(params["ssf"]) == {"block0"}
    with pytest.raises(ConfigError, match=r"config\.strategy\.layers must choose kernels or scales of the backbone"):
        begun(layers="block7")


def test_a_shift_moves_with_the_scale_of_its_own_bias():
    params = {"backbone": unflatten({"a/kernel": np.ones((1, 2)), "a/bias": np.full(2, 3.0)}), "head": {}}
    learned = unflatten({"a/gamma": np.array([2.0, 0.0]), "a/beta": np.array([1.0, 5.0])})
    merged = ssf.effective({**params, "ssf": learned}, default.get_config().strategy)
    assert merged["backbone"]["a"]["bias"].tolist() == [7.0, 5.0]
