"""A small problem of two domains: a strong cue that means nothing in the target, and a weak one that means the same."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np

from configs import default
from tljax.core import layer_groups
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import between
from tljax.core.types import EVALUATE, Mode, Phase
from tljax.data.batches import Training
from tljax.data.paired_batches import Paired
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training.job import Job
from tljax.training.train_state import TrainState
from tljax.transfer.alignment import Alignment
from tljax.weights import placement

BATCH = 64


class Mlp(nn.Module):
    """Two dense layers as stages: (B, 4) -> (B, 8)."""

    stages = ("first", "second")

    @nn.compact
    def __call__(self, x: Any, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None) -> Any:
        for name in between(self.stages, start, stop):
            x = nn.tanh(nn.Dense(8, name=name)(x))
        return x


class Vectors:
    """A part of them in memory."""

    in_memory, views = True, 1

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self.x, self.labels = x.astype(np.float32), labels.astype(np.int32)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        return {"x": self.x[positions], "label": self.labels[positions]}


def vectors(number: int, seed: int, *, target: bool) -> Vectors:
    """Cue 0 is twice the label's sign in the source and about 4 in the target; cue 1 is that sign in both."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, number)
    signs, noise = 2 * labels - 1, rng.normal(size=(number, 4))
    strong = 4 + 0.5 * noise[:, 0] if target else 2 * signs + 0.5 * noise[:, 0]
    weak = signs + 0.4 * noise[:, 1]
    return Vectors(np.stack([strong, weak, noise[:, 2], noise[:, 3]], axis=1), labels)


def prepare(batch: Any, key: Any, train: bool) -> Any:
    return {**batch, "inputs": batch["x"]}


def make(scales: Any = None, *, steps: int = 300, **changes: Any) -> tuple[Job, TrainState]:
    """A job with the adaptation that `changes` name, and its first state."""
    config = default.get_config()
    config.optimizer.update(name="adam", lr=0.01)
    config.adaptation.update(changes)
    network = Network(Mlp(), classification.head(2))
    variables = placement.init(network, np.zeros((1, 4), np.float32), seed=0)
    variables = jax.tree.map(np.array, variables)
    groups = layer_groups.assign(variables["params"], network.backbone.stages, {})
    blank: dict[str, Any] = dict.fromkeys(Experiment.__dataclass_fields__)
    parts = {"train": vectors(1000, 1, target=False)}
    made = Experiment(
        **blank | {"network": network, "variables": variables, "groups": groups, "parts": parts, "prepare": prepare}
    )
    phases = (Phase("only", 1.0, scales or dict.fromkeys(groups, 1.0)),)
    alignment = Alignment.of(config.adaptation)
    made, phases = alignment.initialize(made, phases, seed=0)
    job = Job(network, classification, prepare, made.groups, phases, steps, config, None, alignment=alignment)
    return job, job.enter(0, TrainState.create(made.variables, seed=0))


def training(job: Job) -> Paired | Training:
    """Batches of both domains, or where nothing is adapted of the source."""
    source = Training(vectors(1000, 1, target=False), batch_size=BATCH, seed=0)
    return Paired(source, vectors(1000, 2, target=True)) if job.config.adaptation.name else source


def fit(job: Job, state: TrainState) -> tuple[TrainState, list[dict[str, float]]]:
    """The last state, and the metrics of every step."""
    step, log = jax.jit(job.step(0)), []
    for batch in training(job).stream(0, job.steps):
        state, metrics = step(state, batch)
        log.append(metrics)
    return state, jax.device_get(log)


def error(job: Job, state: TrainState, *, target: bool) -> float:
    """The share of 2,000 new examples of a domain that is told wrongly."""
    new = vectors(2000, 3, target=target)
    logits: Any = job.network.apply(job.variables(state), new.x)
    return float((logits.argmax(-1) != new.labels).mean())
