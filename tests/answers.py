"""What a task sums up of answers that are given, in the place of a network's: of all at once, or batch by batch."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from tljax.data.batches import Evaluation
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.train_step import make_eval_step


def totals(task: Any, labels: Any, answers: Any, mask: Any = None) -> dict[str, np.ndarray]:
    """Of the examples where `mask` is set; None: of all."""
    batch = {"label": jnp.array(labels), "mask": jnp.ones(len(labels), bool) if mask is None else jnp.array(mask)}
    found = task.totals(jnp.array(answers), batch) | task.per_example(jnp.array(answers), batch)
    return {name: np.asarray(x) for name, x in found.items()}


def in_batches(task: Any, labels: Any, answers: Any, *, size: int, mode: str) -> dict[str, np.ndarray]:
    """The same by a run's evaluation, in padded batches of `size` over all devices."""
    devices = parallel.make(mode)
    step = make_eval_step(Given(), task, given, axis=devices.axis)
    variables = devices.put_state({"one": np.float32(1)})
    return Evaluator(step, devices)(variables, Evaluation(Part(labels, answers), batch_size=size))


def given(batch, key, train):
    """In the place of `preprocess.make`'s."""
    return {**batch, "inputs": batch["answer"]}


class Given:
    """A network that says what stands in the batch."""

    def apply(self, variables, inputs, mode):
        return inputs * variables["one"]


class Part:
    """What `Evaluation` asks of examples."""

    in_memory = True

    def __init__(self, labels, answers):
        self.labels, self.answers = labels, answers

    def __len__(self):
        return len(self.labels)

    def take(self, positions):
        return {"answer": self.answers[positions], "label": self.labels[positions]}
