"""Depthwise convolution on a CPU against plain lax: values and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.networks import depthwise, ops

# (height, width), kernel, stride, padding: odd sizes, maps smaller than the kernel, paddings of more and less than half
CASES = (
    *[((9, 8), taps, stride, taps // 2) for taps in (3, 5, 7) for stride in (1, 2)],
    *[((size, size), 7, 1, 3) for size in (1, 2, 4)],
    ((1, 2), 3, 2, 1),
    ((2, 5), 5, 2, 2),
    ((7, 10), 5, 3, 2),
    ((7, 7), 3, 1, 0),
    ((8, 9), 5, 2, 0),
    ((5, 6), 3, 1, 2),
    ((6, 5), 5, 2, 4),
)


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def all_cases(form, dtype) -> list[tuple[jax.Array, ...]]:
    """Value, input's and kernel's gradient of every case, of 6 channels and batch 3; compiled as one."""

    def one(size: tuple[int, int], taps: int, stride: int, padding: int) -> tuple[jax.Array, ...]:
        x, kernel = normal(0, 3, *size, 6).astype(dtype), normal(1, taps, taps, 1, 6).astype(dtype) / taps
        value, pull = jax.vjp(lambda x, kernel: form(x, kernel, stride, padding, 6), x, kernel)
        return value, *pull(normal(2, *value.shape).astype(dtype))

    return jax.jit(lambda: [one(*case) for case in CASES])()


# bfloat16 holds 8 bits: the forms may round a value of up to 8 to neighbours 2**-5 apart.
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2**-5)])
def test_values_and_gradients_are_laxs(dtype, tolerance):
    for case, ours, expected in zip(CASES, all_cases(ops.cpu_conv, dtype), all_cases(ops.lax_conv, dtype), strict=True):
        for name, a, b in zip(("value", "input", "kernel"), ours, expected, strict=True):
            assert (a.shape, a.dtype) == (b.shape, dtype), (case, name)
            a, b = (np.asarray(array, np.float32) for array in (a, b))
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{case} {name}")


def jaxpr(x_shape: tuple[int, ...], kernel_shape: tuple[int, ...], groups: int, dtype=jnp.float32) -> str:
    x, kernel = jnp.zeros(x_shape, dtype), jnp.zeros(kernel_shape, dtype)
    pull = jax.grad(lambda *args: ops.cpu_conv(*args, 1, 1, groups).sum(), argnums=(0, 1))
    return str(jax.make_jaxpr(pull)(x, kernel))


def test_only_channels_that_are_groups_of_their_own_take_this_form():
    assert "conv_general_dilated" not in jaxpr((2, 8, 8, 6), (3, 3, 1, 6), 6)
    assert "conv_general_dilated" in jaxpr((2, 8, 8, 6), (3, 3, 1, 12), 6)  # two outputs a channel
    assert "conv_general_dilated" in jaxpr((2, 8, 8, 6), (3, 3, 2, 6), 3)


def test_bfloat16_is_summed_in_float32():
    # 49 times 1 + 1/128 is 49.38, rounded once 49.5; rounded at every addition it ends at 49.25.
    x, kernel = jnp.ones((1, 7, 7, 1), jnp.bfloat16), jnp.full((7, 7, 1, 1), 1 + 2**-7, jnp.bfloat16)
    assert depthwise.conv(x, kernel, 1, ((0, 0), (0, 0))).item() == jnp.bfloat16(49 * (1 + 2**-7))


def test_the_kernels_gradient_of_a_large_map_errs_little():
    # 40,000 positive products: one sum over positions and batch errs by 6.5e-6 of the largest, one a picture by 4e-7.
    x, g = (np.random.default_rng(seed).uniform(size=(16, 50, 50, 2)).astype(np.float32) for seed in (0, 1))
    _, pull = jax.vjp(lambda kernel: depthwise.conv(x, kernel, 1, ((1, 1), (1, 1))), jnp.zeros((3, 3, 1, 2)))
    padded = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + 50, j : j + 50] for i in range(3) for j in range(3)]
    expected = np.array([(one * np.float64(g)).sum((0, 1, 2)) for one in shifted])
    assert np.abs(pull(g)[0].reshape(9, 2) - expected).max() < 2e-6 * expected.max()


def test_vmap_and_a_frozen_kernel():
    x, kernel = normal(0, 3, 2, 4, 4, 6), normal(1, 3, 3, 1, 6)
    mapped = jax.vmap(lambda x: ops.cpu_conv(x, kernel, 1, 1, 6))(x)
    np.testing.assert_allclose(mapped[1], ops.lax_conv(x[1], kernel, 1, 1, 6), rtol=1e-5, atol=1e-5)
    ours, expected = (
        jax.grad(lambda x, form=form: form(x, jax.lax.stop_gradient(kernel), 2, 1, 6).sum())(x[0])
        for form in (ops.cpu_conv, ops.lax_conv)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
