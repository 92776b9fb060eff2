"""Exact over a part: every example once, whatever the batch size, on one device or four."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from tljax.data.batches import Evaluation
from tljax.networks.families import lenet
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.train_step import make_eval_step
from tljax.weights import placement

N, CLASSES = 45, 3
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (N, 8, 8, 1)).astype(np.uint8)
LABELS = RNG.integers(0, CLASSES, N).astype(np.int32)


class Memory:
    """What `Evaluation` asks of pictures."""

    in_memory = True

    def __len__(self):
        return N

    def take(self, positions):
        return {"image": IMAGES[positions], "label": LABELS[positions]}


def prepare(batch, key, train):
    assert not train
    return {**batch, "inputs": batch["image"].astype(np.float32) / 255}


@pytest.mark.parametrize("mode", parallel.MODES)
@pytest.mark.parametrize("batch_size", [4, 16, 48])
@pytest.mark.parametrize("lengths", [None, np.arange(N) * 7 % N])
def test_every_example_counts_once(mode, batch_size, lengths):
    part = Memory()
    part.lengths = lengths  # texts come in another order
    network = Network(lenet.build("small"), classification.head(CLASSES))
    variables = placement.init(network, np.zeros((1, 8, 8, 1), np.float32), seed=0)
    devices = parallel.make(mode)
    evaluator = Evaluator(make_eval_step(network, classification, prepare, axis=devices.axis), devices)
    host = jax.tree.map(np.array, variables)
    totals = evaluator(devices.put_state(host), Evaluation(part, batch_size=batch_size))
    logits = np.asarray(jax.jit(network.apply)(variables, IMAGES.astype(np.float32) / 255))
    expected = np.zeros((CLASSES, CLASSES), int)
    np.add.at(expected, (LABELS, logits.argmax(-1)), 1)
    found = [totals[name] for name in ("labels", "predicted", "hits")]
    np.testing.assert_array_equal(found, [expected.sum(axis=1), expected.sum(axis=0), np.diag(expected)])
    np.testing.assert_array_equal(totals["prediction"], logits.argmax(-1))  # one an example, in order, no filling
    np.testing.assert_array_equal(totals["label"], LABELS)
    assert totals["hits"].dtype == np.int64 and totals["loss"].dtype == np.float64
    loss = classification.loss(logits, {"label": LABELS}, ConfigDict({"label_smoothing": 0.0})) * N
    assert float(totals["loss"]) == pytest.approx(float(loss), rel=1e-5)
