"""How steps are compiled: what XLA is told on a CPU, and that no other backend or XLA hears of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import ops, parallel


@pytest.fixture(autouse=True)
def asked_anew():
    parallel.compiler_options.cache_clear()
    yield
    parallel.compiler_options.cache_clear()


def convolve(kernel, batch):
    return ops.lax_conv(batch["image"], kernel, 1, 1, 1)


@pytest.mark.parametrize("mode", list(parallel.MODES))
def test_convolutions_on_a_cpu_keep_away_from_the_library_of_one_core(mode):
    devices = parallel.make(mode)
    kernel = devices.put_state(np.ones((3, 3, 64, 64), np.float32))
    batch = devices.put_batch({"image": np.ones((4 * devices.devices, 8, 8, 64), np.float32)})
    ours = devices.compile(convolve, kernel, batch, donate=False).as_text()
    plain = jax.jit(convolve).lower(jnp.ones((3, 3, 64, 64)), {"image": jnp.ones((4, 8, 8, 64))}).compile().as_text()
    assert "ynn" in plain and "ynn" not in ours  # the first fails when XLA's own choice changes: measure again then


def test_an_xla_without_the_option_is_told_nothing(monkeypatch):
    monkeypatch.setattr(parallel, "CPU_OPTIONS", {"xla_no_such_option": "1"})
    assert parallel.compiler_options() == {}


def test_an_accelerator_is_told_nothing(monkeypatch):
    monkeypatch.setattr(ops, "on_cpu", lambda: False)
    assert parallel.compiler_options() == {}
