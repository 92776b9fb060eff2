"""Stages from any to any, on a backbone of three that each add a digit."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.core.types import Mode
from tljax.networks.backbone import Backbone


class Digit(nn.Module):
    digit: int

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        bias = self.param("bias", nn.initializers.zeros, ())
        return 10 * x + self.digit + (1000 * mode.train) + bias.astype(x.dtype)


class Digits(Backbone):
    @property
    def stages(self) -> tuple[str, ...]:
        return ("one", "two", "three")

    def stage(self, name: str) -> nn.Module:
        return Digit(self.stages.index(name) + 1, name=name)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(None, None, 123), (None, "two", 12), ("two", None, 23), ("two", "two", 2), ("three", None, 3)],
)
def test_the_stages_from_start_to_stop_run_in_order(start, stop, expected):
    net = Digits(None)
    variables = net.init(jax.random.key(0), jnp.float32(0))
    assert list(variables["params"]) == ["one", "two", "three"]
    assert net.apply(variables, jnp.float32(0), start=start, stop=stop) == expected


def test_every_stage_is_told_the_mode():
    net = Digits(None)
    variables = net.init(jax.random.key(0), jnp.float32(0))
    assert net.apply(variables, jnp.float32(0), Mode(train=True)) == 123 + 111_000


def test_only_a_run_to_the_end_is_made_float32():
    net = Digits(None)
    variables = net.init(jax.random.key(0), jnp.float32(0))
    x = jnp.bfloat16(0)
    assert np.asarray(net.apply(variables, x)).dtype == jnp.float32
    assert np.asarray(net.apply(variables, x, stop="three")).dtype == jnp.bfloat16


def test_a_family_without_stages_is_named():
    with pytest.raises(NotImplementedError, match=r"Bare must define stage"):
        type("Bare", (Digits,), {"stage": Backbone.stage})(None).init(jax.random.key(0), jnp.float32(0))
