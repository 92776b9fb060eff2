"""Exact sums and counts over every example of a part, each counted once."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tljax.batches import Evaluation
from tljax.parallel import Parallel
from tljax.types import Batch, Variables

Say = Callable[[str], contextlib.AbstractContextManager[None]]


class Evaluator:
    """Compiles once, then sums over any number of parts whose batches have one shape."""

    def __init__(self, step: Callable[[Variables, Batch], Any], parallel: Parallel, say: Say = contextlib.nullcontext):
        """`say("evaluation")` is entered while XLA compiles."""
        self._step, self._parallel, self._say = step, parallel, say
        self._compiled: Any = None

    def __call__(self, variables: Variables, batches: Evaluation) -> dict[str, np.ndarray]:
        """The sums over `batches`; `variables` lie on the devices (`put_state`)."""
        totals, pending = None, None
        for host_batch in batches:
            batch = self._parallel.put_batch(host_batch)
            if self._compiled is None:
                with self._say("evaluation"):
                    self._compiled = self._parallel.compile(self._step, variables, batch, donate=False)
            sums = self._compiled(variables, batch)
            totals, pending = self._add(totals, pending), sums  # one batch late: devices never wait
        return self._add(totals, pending)

    def _add(self, totals: Any, sums: Any) -> Any:
        if sums is None:
            return totals
        wide = jax.tree.map(_wide, self._parallel.get(sums))
        return wide if totals is None else jax.tree.map(np.add, totals, wide)


def _wide(x: np.ndarray) -> np.ndarray:
    """Sums over a split are kept in 64 bits: 2**31 counts and float32 losses would overflow or round."""
    return np.asarray(x, np.int64 if np.issubdtype(x.dtype, np.integer) else np.float64)
