"""FLOPs of a network: 2 for each multiply-add of convolutions and matrix products; nothing else is counted."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
from jax.extend import core

from tljax.core.types import Tree
from tljax.networks import ops


def count(function: Callable[..., Tree], *arguments: Tree) -> int:
    """The number of FLOPs of `function` on arguments of these shapes; nothing is compiled or run.

    The function is traced as plain lax, so the count is the same on every backend. Products with padding count, as in
    published figures. The body of a loop counts once for each iteration.

    Raises:
      ValueError: the program has branches, or a loop of unknown length.
    """
    with ops.plain():
        return _operations(jax.make_jaxpr(function)(*arguments).jaxpr)


def _operations(jaxpr: core.Jaxpr) -> int:
    return sum(_of_one(equation) for equation in jaxpr.eqns)


def _of_one(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        return 2 * depth * math.prod(equation.outvars[0].aval.shape)
    if name == "conv_general_dilated":
        kernel, out_axis = equation.invars[1].aval.shape, params["dimension_numbers"].rhs_spec[0]
        return 2 * math.prod(kernel) // kernel[out_axis] * math.prod(equation.outvars[0].aval.shape)
    if name in ("while", "cond"):
        raise ValueError(f"FLOPs can be counted only without branches and loops of unknown length; found '{name}'")
    return params.get("length", 1) * sum(_operations(inner) for inner in _inner(params.values()))


def _inner(values: Iterable[object]) -> Iterator[core.Jaxpr]:
    """The programs among an operation's parameters: of jit, remat, scan, custom gradients."""
    for value in values:
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
