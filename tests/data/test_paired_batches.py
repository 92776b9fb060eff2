"""A batch of two domains: whose rows stand where, no label of the target, and any step by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data import paired_batches
from tljax.data.batches import Training
from tljax.data.paired_batches import Paired
from tljax.training import accumulation


class Rows:
    """A part whose example i is [tag, i], of lengths that a token part has."""

    in_memory, views = True, 1

    def __init__(self, number, tag, width=1):
        self.number, self.tag, self.width = number, tag, width

    def __len__(self):
        return self.number

    def take(self, positions):
        ids = np.stack([np.full(len(positions), self.tag), positions], axis=1)
        ids = np.repeat(ids, self.width, axis=1)
        return {"ids": ids, "tokens": np.ones(ids.shape, bool), "label": 100 * self.tag + positions}


def paired(source=12, target=5, widths=(1, 1), **changes):
    training = Training(Rows(source, 1, widths[0]), batch_size=4, seed=0, **changes)
    return Paired(training, Rows(target, 2, widths[1]))


def test_the_source_is_what_it_is_without_a_target():
    both, alone = paired(), Training(Rows(12, 1), batch_size=4, seed=0)
    for step in range(7):
        batch, plain = both(step), alone(step)
        np.testing.assert_array_equal(batch["ids"][:, 0], plain["ids"])
        np.testing.assert_array_equal(batch["label"], plain["label"])
        np.testing.assert_array_equal(batch["position"], [[i, 4 + i] for i in range(4)])
    assert both.steps(3) == alone.steps(3) == 9 and both.steps_to_all == alone.steps_to_all


def test_the_target_goes_round_on_its_own_and_without_labels():
    both = paired()
    batches = [both(step) for step in range(5)]
    assert all(batch["ids"].shape == (4, 2, 2) and (batch["ids"][:, 1, 0] == 2).all() for batch in batches)
    seen = np.concatenate([batch["ids"][:, 1, 1] for batch in batches]).reshape(4, 5)
    assert all(sorted(epoch) == list(range(5)) for epoch in seen.tolist())  # every example once in each of 4 rounds
    assert all(batch["label"].max() < 200 and batch["label"].shape == (4,) for batch in batches)


def test_parts_of_one_length_are_not_shuffled_alike():
    """They may both be sorted by class: examples of one class would then meet, as if the target had labels."""
    both = paired(source=40, target=40)
    rows = np.concatenate([both(step)["ids"][:, :, 1] for step in range(10)])
    assert (rows[:, 0] == rows[:, 1]).mean() < 0.2


def test_a_step_does_not_depend_on_those_before_it():
    whole, cut = paired(), paired()
    expected = list(whole.stream(0, 9))[6:]
    for batch, again in zip(expected, cut.stream(6, 9), strict=True):
        assert batch.keys() == again.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], again[name])


def test_class_weights_are_the_sources():
    weights = np.zeros(200, np.float32)
    weights[100:112] = np.arange(12)
    batch = paired(weights=weights)(0)
    np.testing.assert_array_equal(batch["weight"], batch["label"] - 100)


@pytest.mark.parametrize("widths", [(1, 3), (3, 1)])
def test_shorter_texts_are_filled_up_unseen(widths):
    batch = paired(widths=widths)(0)
    assert batch["ids"].shape == batch["tokens"].shape == (4, 2, 6)
    short = widths.index(1)
    assert batch["tokens"][:, 1 - short].all() and batch["tokens"][:, short].sum(axis=1).tolist() == [2] * 4
    assert not batch["ids"][:, short][~batch["tokens"][:, short]].any()


def test_flat_and_split_are_inverse():
    batch = paired_batches.flat(paired()(0))
    assert batch["ids"].shape == (8, 2) and batch["label"].shape == (4,)
    assert batch["position"].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    source, target = paired_batches.split(jnp.asarray(batch["ids"]))
    assert (source[:, 0] == 1).all() and (target[:, 0] == 2).all()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_micro_batches_hold_whole_pairs_and_their_labels(count):
    batch = paired()(0)
    parts = jax.tree.map(lambda x: accumulation.split(jnp.asarray(x), count), batch)
    for i in range(count):
        part = paired_batches.flat(jax.tree.map(lambda x, i=i: x[i], parts))
        source, target = paired_batches.split(part["ids"])
        np.testing.assert_array_equal(source[:, 1] + 100, part["label"])
        assert (target[:, 0] == 2).all() and len(target) == 4 // count
