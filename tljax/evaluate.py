"""Exact sums and counts over every example of a part, each counted once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tljax.batches import Evaluation
from tljax.parallel import Parallel
from tljax.types import Batch, Variables


class Evaluator:
    """Compiles once, then sums over any number of parts whose batches have one shape."""

    def __init__(self, step: Callable[[Variables, Batch], Any], parallel: Parallel) -> None:
        self._step, self._parallel = step, parallel
        self._compiled: Any = None

    def __call__(self, variables: Variables, batches: Evaluation) -> dict[str, np.ndarray]:
        """The sums over `batches`; `variables` lie on the devices (`put_state`)."""
        totals: Any = None
        for host_batch in batches:
            batch = self._parallel.put_batch(host_batch)
            if self._compiled is None:
                self._compiled = self._parallel.compile(self._step, variables, batch, donate=False)
            sums = self._parallel.get(self._compiled(variables, batch))
            sums = jax.tree.map(_wide, sums)
            totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
        return totals


def _wide(x: np.ndarray) -> np.ndarray:
    """Sums over a split are kept in 64 bits: 2**31 counts and float32 losses would overflow or round."""
    return np.asarray(x, np.int64 if np.issubdtype(x.dtype, np.integer) else np.float64)
