"""What chooses an epoch: the entropy by hand, over every example once, jit and pmap; and which part it is."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tests import two_domains
from tljax.core.errors import ConfigError
from tljax.data.batches import Evaluation
from tljax.tasks import classification, regression
from tljax.training import parallel, selection
from tljax.training.evaluate import Evaluator

REPORT = SimpleNamespace(compiling=lambda what: None)


def test_the_entropy_by_hand():
    logits = jnp.array([[0.0, 0.0], [math.log(3.0), 0.0], [200.0, -200.0]])
    expected = [math.log(2), -0.75 * math.log(0.75) - 0.25 * math.log(0.25), 0.0]
    np.testing.assert_allclose(classification.entropy(logits), expected, rtol=1e-6, atol=1e-7)


def make(select, *, task=classification, parts=None, best=""):
    config = default.get_config()
    config.train.update(select=select, best=best)
    job, _ = two_domains.make()
    parts = parts if parts is not None else {"unlabelled": "u", "validation": "v"}
    devices = parallel.make("jit")
    return selection.make(parts, "labelled", job.network, task, 2, two_domains.prepare, devices, REPORT, config)


def test_which_part_and_which_metric():
    found = make("validation")
    assert (found.part, found.evaluation, found.evaluator, found.metric, found.sign) == (
        "validation", "v", "labelled", "accuracy", 1,
    )  # fmt: skip
    found = make("entropy")
    assert (found.part, found.evaluation, found.metric, found.sign) == ("unlabelled", "u", "entropy", -1)
    assert make("validation", parts={"unlabelled": "u"}) is None


def test_a_metric_of_ones_own_choice():
    for best, sign in {"loss": -1, "f1_macro": 1, "auroc": 1}.items():
        assert (make("validation", best=best).metric, make("validation", best=best).sign) == (best, sign)
    assert selection.chosen_by("mse", regression, 3) == ("mse", -1)
    with pytest.raises(ConfigError, match=r"must be a metric .* 2 classes: accuracy.* Did you mean 'auroc'"):
        make("validation", best="auroc_")
    with pytest.raises(ConfigError, match="for 3 classes: accuracy, auroc, .* f1_macro, loss, mcc; got 'f1'"):
        selection.chosen_by("f1", classification, 3)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_every_example_counts_once_and_no_label_at_all(mode):
    job, state = two_domains.make()
    devices, scores = parallel.make(mode), []
    for labels in (0, -1):
        part = two_domains.vectors(21, 5, target=True)
        part.labels[:] = labels
        step = selection.make_entropy_step(job.network, classification, two_domains.prepare, axis=devices.axis)
        evaluation, evaluator = Evaluation(part, batch_size=8), Evaluator(step, devices)
        chosen = selection.Selection("unlabelled", evaluation, evaluator, selection.mean_entropy, "entropy", -1)
        values, score = chosen(devices.put_state(state.variables()))
        probabilities = jax.nn.softmax(job.network.apply(state.variables(), part.x))
        expected = float(-(probabilities * jnp.log(probabilities)).sum(-1).mean())
        assert values == {"entropy": pytest.approx(expected, rel=1e-5), "examples": 21} and score == -values["entropy"]
        scores.append(score)
    assert scores[0] == scores[1]


def test_a_task_without_entropy_cannot_be_selected_so():
    with pytest.raises(ConfigError, match="select=entropy needs a task whose predictions have an entropy"):
        make("entropy", task=SimpleNamespace(BEST_METRIC="r2", summarize=None))
