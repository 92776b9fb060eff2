"""A finished run's network as a function of pictures: the program that its evaluation runs, on all devices."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from tljax import parallel
from tljax.batches import THREADS
from tljax.saved_model import Model
from tljax.types import Batch, Variables


class Predictor:
    """Compiles once, then answers any number of pictures.

    Logits are those of the run's evaluation, bit for bit where a device gets as many pictures at a time as
    there (`train.eval_batch_size`); XLA rounds other batch sizes otherwise, in the last digits.
    """

    def __init__(self, model: Model, *, batch_size: int = 32) -> None:
        """`batch_size` is rounded up to a multiple of the devices."""
        self.model, self._devices = model, parallel.make("jit")
        self._program = parallel.Program(self._step, self._devices)
        self.batch_size = -(-batch_size // self._devices.devices) * self._devices.devices
        self._variables = self._devices.put_state(model.variables)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Stored pictures (N, S, S, C) uint8 to logits (N, K) float32."""
        found = [self._batch(images[i : i + self.batch_size]) for i in range(0, len(images), self.batch_size)]
        return np.concatenate(found)

    def files(self, files: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray | ValueError]]:
        """Every picture with its probabilities (K,), or with what kept it from being read; in order."""
        with ThreadPoolExecutor(THREADS) as pool:
            for i in range(0, len(files), self.batch_size):
                some = files[i : i + self.batch_size]
                images = list(pool.map(self._read, some))
                readable = [image for image in images if isinstance(image, np.ndarray)]
                answers = iter(softmax(self(np.stack(readable)))) if readable else iter(())
                for file, image in zip(some, images, strict=True):
                    yield file, image if isinstance(image, ValueError) else next(answers)

    def _read(self, file: Path) -> np.ndarray | ValueError:
        try:
            return self.model.read(file)
        except ValueError as error:
            return error

    def _batch(self, images: np.ndarray) -> np.ndarray:
        """At most `batch_size` pictures; fewer are repeated until the program's batch is full."""
        whole = images[np.arange(self.batch_size) % len(images)]
        batch = self._devices.put_batch({"image": whole})
        step = self._program.compiled(self._variables, batch)
        return np.asarray(step(self._variables, batch), np.float32)[: len(images)]

    def _step(self, variables: Variables, batch: Batch) -> jax.Array:
        return self.model.logits(variables, batch["image"])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) to probabilities, float64 inside."""
    powers = np.exp(np.float64(logits) - np.max(logits, axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def most_probable(probabilities: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The `top` classes of one picture, with their probabilities, most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(classes[i], float(probabilities[i])) for i in map(int, order)]
