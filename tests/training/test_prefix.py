"""A frozen prefix's key holds all that its features depend on, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import small
from tljax.runs import experiment
from tljax.training import parallel
from tljax.training.prefix import Prefix

ROOT = Path(__file__).parents[2]


def load(**changes):
    return experiment.load(small.config(**changes), axis=None, pretrained_wanted=False)


def changed_weights(made):
    made.variables["params"]["backbone"]["conv1"]["conv"]["bias"][0] += 1e-3


KEYS = {
    "weights": (load, "conv2", changed_weights),
    "head": (load, "conv2", lambda made: made.variables["params"]["head"]["bias"].fill(1.0)),
    "later stage": (load, "conv2", lambda made: made.variables["params"]["backbone"]["fc1"]["dense"]["bias"].fill(1.0)),
    "stage": (load, "conv1", lambda made: None),
    "dtype": (lambda: load(model__dtype="bfloat16"), "conv2", lambda made: None),
    "size": (lambda: load(data__size=16), "conv2", lambda made: None),
    "card": (lambda: load(model__card__std=(0.4,)), "conv2", lambda made: None),
    "rates": (lambda: load(optimizer__lr=0.5, seed=3, train__batch_size=40), "conv2", lambda made: None),
}
SAME = ("head", "later stage", "rates")


@pytest.mark.parametrize("what", KEYS)
def test_the_key_holds_all_that_rows_depend_on(what, monkeypatch):
    make, stop, change = KEYS[what]
    plain, other = load(), make()
    if what == "rates":
        other.variables.update(plain.variables)  # drawn by another seed
    change(other)
    devices = parallel.make("jit")
    assert (Prefix(other, stop, devices).key == Prefix(plain, "conv2", devices).key) == (what in SAME)


SCRIPT = """
from tests.training.test_prefix import load
from tljax.training import parallel
from tljax.training.prefix import Prefix
print(Prefix(load(), None, parallel.make("jit")).key)
"""


def test_another_process_has_the_same_key():
    found = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == Prefix(load(), None, parallel.make("pmap")).key
