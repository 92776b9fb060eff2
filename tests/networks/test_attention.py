"""Attention of all heads, by hand; with dropout the same, written out. More of it: test_encoder.py."""

import functools
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours

from tests import small
from tljax.core import settings
from tljax.core.errors import ConfigError
from tljax.networks import attention, network, ops, vision_transformer
from tljax.networks.attention import attended, kernel
from tljax.networks.families import vit
from tljax.networks.network import Network

Q, K, V = (draw.uniform(name, (2, 5, 3, 4), -1, 1) for name in "qkv")
MASK = np.arange(5)[None] < np.array([[5], [3]])
BIAS = draw.uniform("bias", (2, 3, 5, 5), -2, 2)


class Written(nn.Module):
    """With a dropout that drops nothing."""

    @nn.compact
    def __call__(self, **options):
        return attended(*map(jnp.asarray, (Q, K, V, MASK)), dropout=1e-30, **options)


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("bias", [None, BIAS], ids=["plain", "biased"])
def test_by_hand_fused_and_written_out(scale, bias):
    scores = np.einsum("bihd,bjhd->bhij", Q, K, dtype=np.float64) * (scale or 0.5)  # 1 / sqrt(4)
    weights = np.exp(scores + (0 if bias is None else bias)) * MASK[:, None, None]
    expected = np.einsum("bhij,bjhd->bihd", weights / weights.sum(-1, keepdims=True), V)
    options = {"scale": scale, "bias": bias if bias is None else jnp.asarray(bias)}
    fused = attended(*map(jnp.asarray, (Q, K, V, MASK)), dropout=0.0, **options)
    assert ours.difference(fused, expected) < 1e-6
    written = Written().apply({}, rngs={"dropout": jax.random.key(0)}, **options)
    assert ours.difference(written, expected) < 1e-6


def asked(name, **options):
    with kernel(name), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        out = attended(*map(jnp.asarray, (Q, K, V, MASK)), dropout=0.0, **options)
    return np.asarray(out), [str(one.message) for one in told]


def test_a_kernel_that_cannot_is_told_and_xla_computes_the_same(monkeypatch):
    monkeypatch.setattr(ops, "on_cpu", lambda: False)  # as on a GPU; there is no cudnn here
    out, told = asked("cudnn")
    assert len(told) == 1 and told[0].startswith("attention: XLA computes it, not cudnn (config.model.attention): ")
    expected, none = asked("xla")
    with ops.plain():  # exported, or counted
        assert asked("cudnn")[1] == []
    assert not none and np.array_equal(out, expected)
    with kernel("cudnn"), pytest.warns(UserWarning, match="it has no dropout of attention weights"):
        Written().apply({}, rngs={"dropout": jax.random.key(0)})


def test_the_kernel_that_is_asked_for_is_called(monkeypatch):
    calls = []
    plain = jax.nn.dot_product_attention

    def called(*arrays, implementation=None, **rest):
        calls.append(implementation)
        return plain(*arrays, **rest)

    monkeypatch.setattr(jax.nn, "dot_product_attention", called)
    monkeypatch.setattr(ops, "on_cpu", lambda: False)
    one = vision_transformer.ViT(vision_transformer.Variant(8, 16, 2, 2))
    x = jnp.zeros((1, 16, 16, 3))
    for remat in ((), ("block1",)):
        net = Network(one, nn.Dense(2), attention="cudnn", remat=remat)
        variables = jax.eval_shape(net.init, jax.random.key(0), x)
        calls.clear()
        jax.eval_shape(jax.grad(lambda v, net=net: net.apply(v, x).sum()), variables)
        assert calls == ["cudnn"] * 2
    assert attention._kernel.get() == "xla"


def test_on_a_cpu_it_is_said_and_the_program_is_the_same():
    config = small.config(model__family="vit", model__variant="tiny_patch16_224", model__attention="cudnn")
    build = functools.partial(network.plain, lambda _: nn.Dense(2))
    found = {}
    for name in ("xla", "cudnn"):
        config.model.attention = name
        built = network.build(build, vit, vision_transformer.Variant(8, 16, 2, 2), None, config.model, axis=None)
        variables = jax.eval_shape(built.network.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
        lowered = jax.jit(built.network.apply).lower(variables, jnp.zeros((1, 16, 16, 3)))
        found[name] = lowered.as_text(), built.notes
    assert found["xla"][0] == found["cudnn"][0] and found["xla"][1] == ()
    assert found["cudnn"][1] == ("attention: cudnn is of NVIDIA's GPUs; on a CPU XLA computes it",)
    config.model.attention = "flash"
    with pytest.raises(ConfigError, match="config.model.attention must be xla or cudnn; got 'flash'"):
        settings.check(config)
