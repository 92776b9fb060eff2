"""A finished run's network as a function of pictures or texts: the program of its evaluation, on all devices."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from tljax.core.types import Batch, Variables
from tljax.data.pictures import THREADS
from tljax.serving.saved_model import Model
from tljax.training import parallel


class Predictor:
    """Compiles once (for texts, once for each length), then answers any number of pictures or texts.

    Logits are those of the run's evaluation, bit for bit if a device gets as many examples at a time as in evaluation
    (`train.eval_batch_size`). With other batch sizes XLA rounds the last digits differently.
    """

    cut = 0  # number of texts that were cut so far

    def __init__(self, model: Model, *, batch_size: int = 32) -> None:
        """`batch_size` is rounded up to a multiple of the devices."""
        self.model, self._devices = model, parallel.alone()
        self._program = parallel.Program(self._step, self._devices)
        self.batch_size = -(-batch_size // self._devices.devices) * self._devices.devices
        self._variables = self._devices.put_state(model.variables)

    def notes(self, texts: int) -> tuple[str, ...]:
        """A note of how many of so many texts were cut."""
        longest = self.model.input.get("lengths", [0])[-1]
        return (f"{self.cut} of {texts} texts were cut to {longest} tokens",) if self.cut else ()

    def take(self, variables: Variables) -> None:
        """Answer with other variables of the same shapes from now on; nothing is compiled again."""
        self._variables = self._devices.put_state(variables)

    def __call__(self, examples: Sequence[Any] | np.ndarray) -> Any:
        """Results of `model.asked.read` (pictures: (N, S, S, C) uint8) -> logits (N, K) float32, or another output of
        the task's head: an array or a tree of arrays, (N, ...).
        """
        found = [self._batch(examples[i : i + self.batch_size]) for i in range(0, len(examples), self.batch_size)]
        rows = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
        return self.model.classifier(rows).astype(np.float32) if self.model.classifier else rows

    def answers(self, asked: Sequence[Any]) -> Iterator[tuple[Any, np.ndarray | ValueError]]:
        """Every picture (its file), text or example with the task's outputs (K,), or with the error of reading it."""
        for some, faults, rows in self.rows(asked):
            answers = iter(self.model.told(rows) if len(faults) < len(some) else ())
            for place, one in enumerate(some):
                yield one, faults[place] if place in faults else next(answers)

    def rows(self, asked: Sequence[Any]) -> Iterator[tuple[Sequence[Any], dict[int, ValueError], Any]]:
        """(The entries of a batch; index -> the error of reading it; the outputs for the others).

        An entry of `asked` may be a function that returns the entry; it is called when its batch is read.
        """
        with ThreadPoolExecutor(THREADS) as pool:
            for i in range(0, len(asked), self.batch_size):
                some = asked[i : i + self.batch_size]
                examples = list(pool.map(self._read, some))
                faults = {place: one for place, one in enumerate(examples) if isinstance(one, ValueError)}
                readable = [example for place, example in enumerate(examples) if place not in faults]
                self.cut += sum(getattr(example, "cut", 0) for example in readable)
                yield some, faults, self(readable) if readable else ()

    def _read(self, one: Any) -> Any:
        try:
            return self.model.asked.read(one() if callable(one) else one)
        except ValueError as error:
            return error

    def _batch(self, examples: Sequence[Any] | np.ndarray) -> Any:
        """Logits, or features for the model's classifier, of at most `batch_size` examples; fewer are repeated until
        the program's batch is full.
        """
        whole = [examples[i % len(examples)] for i in range(self.batch_size)]
        batch = self._devices.put_batch(self.model.asked.batch(whole))
        step = self._program.compiled(self._variables, batch)
        out = step(self._variables, batch)
        return jax.tree.map(lambda rows: np.asarray(rows, np.float32)[: len(examples)], out)

    def _step(self, variables: Variables, batch: Batch) -> jax.Array:
        return (self.model.features if self.model.classifier else self.model.logits)(variables, batch)
