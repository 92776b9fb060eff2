"""A head that is kept is bound to the classes by their names, as labels are; the order of outputs does not count."""

import json

import numpy as np
import pytest

from tljax.core.errors import ConfigError
from tljax.core.types import Card, Published
from tljax.weights import head_names

HEAD = {"kernel": np.arange(6.0).reshape(2, 3), "bias": np.array([0.0, 1, 2])}


@pytest.fixture
def weights(tmp_path):
    """The weights of a run on ant, bee and cat."""
    (tmp_path / "model.json").write_text(json.dumps({"classes": ["ant", "bee", "cat"]}))
    return Published({}, Card(()), str(tmp_path / "model.safetensors"))


def kept(published, classes, *, drawn=(), **more):
    variables = {"params": {"backbone": {}, "head": HEAD | more}}
    found, notes = head_names.by_class(variables, drawn, published, classes)
    return found["params"]["head"], notes


def test_outputs_follow_their_classes(weights):
    head, notes = kept(weights, ("ant", "bee", "cat"))
    assert head == HEAD and notes == ()
    head, (note,) = kept(weights, ("cat", "ant", "bee"))
    assert head["bias"].tolist() == [2, 0, 1] and head["kernel"].tolist() == [[2, 0, 1], [5, 3, 4]]
    assert "in the order of the classes" in note


def test_other_classes_are_refused(weights):
    """Else the output of "bee" would answer for "dog", because both are the second."""
    with pytest.raises(ConfigError, match="by name: that of .* is for ant, bee, cat; the run's are ant, dog, zebra"):
        kept(weights, ("ant", "dog", "zebra"))
    with pytest.raises(ConfigError, match="in another order"):
        kept(weights, ("cat", "ant", "bee"), tower=np.ones(3))


def test_what_begins_at_random_or_has_no_names_stays(weights, tmp_path):
    assert kept(weights, ("cat", "bee", "ant"), drawn=tuple(f"head/{name}" for name in HEAD)) == (HEAD, ())
    assert kept(weights, ("ant", "dog")) == (HEAD, ())  # of another number: they did not fit
    (tmp_path / "model.json").unlink()
    head, (note,) = kept(weights, ("cat", "bee", "ant"))
    assert head == HEAD and "these weights name no classes" in note
