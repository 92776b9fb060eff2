"""Exact sums and counts over every example of a part, each counted once, and what was said of each."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tljax.core import signals
from tljax.core.types import Batch, Variables
from tljax.data.batches import Evaluation
from tljax.training.parallel import Parallel, Program, Say


class Evaluator:
    """Goes over any number of parts; compiles once for every shape of batch."""

    def __init__(self, step: Callable[[Variables, Batch], Any], parallel: Parallel, say: Say = contextlib.nullcontext):
        """`say()` is entered while XLA compiles."""
        self._parallel, self._program = parallel, Program(step, parallel, say)

    def __call__(self, variables: Variables, batches: Evaluation) -> dict[str, np.ndarray]:
        """The task's sums over `batches`, and its values (N,) of each example in the part's order.

        Args:
          variables: on the devices.
        """
        totals, each, pending = None, [], None
        for host_batch in batches:
            signals.poll()
            batch = self._parallel.put_batch(host_batch)
            step = self._program.compiled(variables, batch)
            found = (step(variables, batch), host_batch["mask"])
            totals, pending = self._add(totals, each, pending), found  # one batch late: devices never wait
        totals, places = self._add(totals, each, pending), np.argsort(batches.order)
        return totals | {name: np.concatenate([some[name] for some in each])[places] for name in each[0]}

    def _add(self, totals: Any, each: list[dict[str, np.ndarray]], found: Any) -> Any:
        """The totals with a batch's sums; its values of each example are appended, without what fills it up."""
        if found is None:
            return totals
        (sums, values), mask = self._parallel.get(found[0]), found[1]
        each.append({name: value[mask] for name, value in values.items()})
        wide = jax.tree.map(_wide, sums)
        return wide if totals is None else jax.tree.map(np.add, totals, wide)


def _wide(x: np.ndarray) -> np.ndarray:
    """Sums over a split are kept in 64 bits: 2**31 counts and float32 losses would overflow or round."""
    return np.asarray(x, np.int64 if np.issubdtype(x.dtype, np.integer) else np.float64)
