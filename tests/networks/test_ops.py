"""The CPU's forms of convolution and max-pooling against plain lax: values and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.networks import ops, pooling

# (height, width), channels in, channels out, kernel, stride, padding, groups
CONVS = (
    # maps smaller than the kernel: dots of patches
    *[((size, size), 5, 6, 3, stride, 1, 1) for size in (1, 2) for stride in (1, 2)],
    *[((size, size), 3, 4, 7, stride, 3, 1) for size in (1, 2, 3, 4) for stride in (1, 2)],
    ((2, 9), 4, 5, 3, 1, 1, 1),
    ((9, 2), 4, 5, 3, 2, 1, 1),
    ((1, 8), 4, 5, 3, 2, 1, 1),
    # ordinary maps: lax, but for the input's gradient with a stride or on few outputs
    *[((size, size), 5, 6, 3, stride, 1, 1) for size in (3, 4, 7, 8, 9, 16) for stride in (1, 2)],
    *[((size, size), 3, 4, 7, stride, 3, 1) for size in (7, 8, 9, 16) for stride in (1, 2)],
    ((4, 4), 4, 5, 3, 1, 0, 1),
    ((9, 9), 4, 5, 3, 1, 0, 1),
    ((9, 8), 4, 5, 3, 2, 0, 1),
    ((8, 8), 4, 5, 3, 3, 1, 1),
    # a stride larger than the kernel, and padding larger than half of it
    *[((size, size), 5, 6, 1, stride, 0, 1) for size in (1, 2, 3, 7, 8) for stride in (1, 2)],
    ((8, 8), 4, 5, 2, 3, 0, 1),
    ((4, 5), 4, 5, 1, 1, 1, 1),
    ((1, 1), 4, 5, 1, 2, 1, 1),  # every window sees padding only
    ((3, 3), 4, 5, 3, 2, 2, 1),
    # groups, depthwise among them
    ((8, 8), 4, 8, 3, 1, 1, 2),
    ((7, 7), 6, 6, 3, 2, 1, 6),
    ((1, 1), 4, 8, 3, 1, 1, 4),
    ((7, 8), 32, 64, 3, 1, 1, 16),
    ((7, 7), 32, 64, 3, 2, 1, 32),
    ((6, 5), 18, 12, 3, 2, 1, 6),
)
POOLS = (
    *[((size, size), 3, 2, 1) for size in (1, 2, 3, 4, 7, 8, 9, 16)],
    ((8, 9), 2, 2, 0),
    ((7, 7), 3, 1, 1),
    ((9, 8), 3, 3, 0),
)


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def value_and_gradients(function, *args):
    """The value, and what a fixed cotangent of its shape is pulled back to."""
    value, pull = jax.vjp(function, *args)
    return value, *pull(normal(9, *value.shape).astype(value.dtype))


def assert_close(ours, expected, tolerance: float):
    for name, (a, b) in zip(("value", "input", "kernel"), zip(ours, expected, strict=True), strict=False):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(b, np.float32), rtol=tolerance, atol=tolerance, err_msg=name
        )


def both_forms(case, dtype=jnp.float32):
    size, channels, features, taps, stride, padding, groups = case
    x = normal(0, 2, *size, channels).astype(dtype)
    kernel = normal(1, taps, taps, channels // groups, features).astype(dtype) / taps

    @jax.jit
    def both(x, kernel):
        return [
            value_and_gradients(lambda x, kernel, form=form: form(x, kernel, stride, padding, groups), x, kernel)
            for form in (ops.cpu_conv, ops.lax_conv)
        ]

    return both(x, kernel)


@pytest.mark.parametrize("case", CONVS, ids=str)
def test_cpu_conv_is_lax_conv(case):
    assert_close(*both_forms(case), tolerance=1e-5)


@pytest.mark.parametrize("case", [c for c in CONVS if c[0] in ((2, 2), (4, 4), (8, 8))], ids=str)
def test_cpu_conv_in_bfloat16(case):
    # bfloat16 holds 8 bits: the forms may round a value of up to 8 to neighbours 2**-5 apart.
    assert_close(*both_forms(case, jnp.bfloat16), tolerance=2**-5)


def traced(size: int, taps: int, stride: int, dtype=jnp.float32) -> list[str]:
    """The jaxprs of the value, of the input's gradient, and of the kernel's."""
    x, kernel = jnp.ones((1, size, size, 4), dtype), jnp.ones((taps, taps, 4, 4), dtype)
    pads = tuple([ops._useful_taps(size, taps, stride, taps // 2)[2]] * 2)
    g = ops._chosen(x, kernel, stride, pads)
    gradients = (ops._input_gradient, ops._kernel_gradient)
    return [
        str(jax.make_jaxpr(lambda x, kernel: ops._chosen(x, kernel, stride, pads))(x, kernel)),
        *(str(jax.make_jaxpr(lambda x, k, g, f=f: f(x, k, g, stride, pads))(x, kernel, g)) for f in gradients),
    ]


def test_each_pass_takes_its_form():
    conv, dot = "conv_general_dilated", "dot_general"
    # (map, kernel, stride): value, input gradient, kernel gradient
    table = {
        (2, 3, 1): (dot, dot, conv),
        (8, 1, 1): (dot, dot, dot),
        (8, 1, 2): (dot, dot, dot),
        (3, 3, 1): (conv, conv, conv),
        (16, 7, 1): (conv, conv, conv),
        (16, 3, 2): (conv, dot, conv),
    }
    taken = {
        case: tuple(" and ".join(f for f in (conv, dot) if f"{f}[" in jaxpr) for jaxpr in traced(*case))
        for case in table
    }
    assert taken == table


def test_bfloat16_dots_accumulate_in_float32():
    assert all("preferred_element_type=float32" in jaxpr for jaxpr in traced(8, 1, 1, jnp.bfloat16))


def test_only_taps_that_meet_pixels_are_multiplied():
    assert ops._useful_taps(1, 3, 1, 1) == (1, 2, (0, 0))
    assert ops._useful_taps(2, 3, 2, 1) == (1, 3, (0, 0))
    assert ops._useful_taps(8, 3, 2, 1) == (0, 3, (1, 0))
    assert ops._useful_taps(8, 1, 2, 0) == (0, 1, (0, -1))
    assert ops._useful_taps(9, 3, 1, 1) == (0, 3, (1, 1))


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_only_a_cpu_takes_the_cpu_forms(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    taken = []
    for name in ("cpu_conv", "lax_conv", "cpu_max_pool", "lax_max_pool"):
        module = pooling if "pool" in name else ops
        monkeypatch.setattr(module, name, lambda *_, name=name: taken.append(name))
    x = jnp.ones((1, 4, 4, 1))
    ops.conv(x, jnp.ones((3, 3, 1, 1)), stride=2, padding=1)
    pooling.max_pool(x, window=3, stride=2, padding=1)
    assert taken == (["cpu_conv", "cpu_max_pool"] if backend == "cpu" else ["lax_conv", "lax_max_pool"])


@pytest.mark.parametrize("case", POOLS, ids=str)
@pytest.mark.parametrize("before", ["distinct", "relu"])
def test_cpu_max_pool_is_lax_max_pool(case, before):
    """Behind a ReLU half of the input ties at zero."""
    size, window, stride, padding = case
    act = jax.nn.relu if before == "relu" else lambda x: x
    x = normal(0, 2, *size, 3)

    @jax.jit
    def both(x):
        return [
            value_and_gradients(lambda x, form=form: form(act(x), window, stride, padding), x)
            for form in (pooling.cpu_max_pool, pooling.lax_max_pool)
        ]

    ours, lax = both(x)
    np.testing.assert_array_equal(ours[0], lax[0])
    np.testing.assert_array_equal(pooling.sliced_max_pool(act(x), window, stride, padding), lax[0])
    assert_close(ours, lax, tolerance=1e-5)


def test_tied_maxima_share_one_gradient():
    def gradient(form):
        return jax.grad(lambda x: form(x, 2, 2, 0).sum())(jnp.ones((1, 2, 2, 1)))[0, :, :, 0]

    np.testing.assert_array_equal(gradient(pooling.cpu_max_pool), [[0.25, 0.25], [0.25, 0.25]])
    np.testing.assert_array_equal(gradient(pooling.lax_max_pool), [[1, 0], [0, 0]])


def test_vmap_and_a_frozen_kernel():
    x, kernel = normal(0, 3, 2, 2, 2, 4), normal(1, 3, 3, 4, 5)
    mapped = jax.vmap(lambda x: ops.cpu_conv(x, kernel, 1, 1, 1))(x)
    assert_close([mapped[1]], [ops.lax_conv(x[1], kernel, 1, 1, 1)], tolerance=1e-5)
    gradient = jax.grad(lambda x: ops.cpu_conv(x, jax.lax.stop_gradient(kernel), 1, 1, 1).sum())(x[0])
    assert_close([gradient], [jax.grad(lambda x: ops.lax_conv(x, kernel, 1, 1, 1).sum())(x[0])], tolerance=1e-5)


def test_inside_plain_every_backend_gets_lax():
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((1, 1, 2, 3))

    def primitives():
        program = jax.make_jaxpr(lambda x, k: pooling.max_pool(ops.conv(x, k), window=2, stride=2))(x, kernel)
        return {equation.primitive.name for equation in program.jaxpr.eqns}

    with ops.plain():
        assert not ops.on_cpu()
        assert {"conv_general_dilated", "reduce_window_max"} <= primitives()
    assert ops.on_cpu() and not {"conv_general_dilated", "reduce_window_max"} & primitives()
