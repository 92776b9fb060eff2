"""Evaluation: exact sums over a part, each example counted once, and the values of every example."""

import contextlib
from collections.abc import Callable, Iterator

import jax
import numpy as np

from tljax.core import signals
from tljax.core.types import Batch, Totals, Tree, Variables
from tljax.data.batches import Evaluation
from tljax.training.parallel import Parallel, Program, Say


class Evaluator:
    """Evaluates any number of parts; compiles once for every shape of batch."""

    def __init__(self, step: Callable[[Variables, Batch], Tree], parallel: Parallel, say: Say = contextlib.nullcontext):
        """`say()` is entered while XLA compiles."""
        self._parallel, self._program = parallel, Program(step, parallel, say)

    def __call__(self, variables: Variables, batches: Evaluation) -> dict[str, np.ndarray]:
        """The task's sums over `batches`, and its values (N,) for each example in the part's order; `batches.known`.

        Args:
          variables: on the devices.
        """
        totals, each = {}, []
        for sums, values in self.batches(variables, batches):
            totals = added(totals, sums)
            each.append(values)
        places = np.argsort(batches.order)
        values = {name: np.concatenate([some[name] for some in each])[places] for name in each[0]}
        return {**totals, **values, **batches.known}

    def batches(self, variables: Variables, batches: Evaluation) -> Iterator[tuple[Totals, Totals]]:
        """(The sums of a batch, the values of its examples in `batches.order`, without padding) of every batch."""
        pending = None
        for number, host_batch in enumerate(batches):
            signals.poll()
            batch = self._parallel.put_batch(host_batch)
            step = self._program.compiled(variables, batch)
            outputs = (step(variables, batch), batches.counts(number))
            if pending:
                yield self._read(pending)
            pending = outputs  # read one batch late, so that devices never wait
        if pending:
            yield self._read(pending)

    def _read(self, outputs: tuple[Tree, int]) -> tuple[Totals, Totals]:
        (sums, values), count = self._parallel.get(outputs[0]), outputs[1]
        return jax.tree.map(_wide, sums), {name: value[:count] for name, value in values.items()}


def added(totals: Totals, sums: Totals) -> Totals:
    """The totals plus a batch's sums; {} for none yet."""
    return jax.tree.map(np.add, totals, sums) if totals else sums


def _wide(x: np.ndarray) -> np.ndarray:
    """Sums over a part are kept in 64 bits: int32 counts would overflow, float32 losses would be rounded."""
    return np.asarray(x, np.int64 if np.issubdtype(x.dtype, np.integer) else np.float64)
