"""The batch at step t is a function of (seed, t); every example once an epoch; nothing in another's place."""

import numpy as np
import pytest

from tests.data.test_decoded_pictures import Greys, N, pictures, which
from tljax.core.processes.agreement import Share
from tljax.data.batches import Evaluation, Training


def same(one, two) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 14, 16, 50])
@pytest.mark.parametrize("in_memory", [True, False])
def test_every_example_once_an_epoch(batch_size, in_memory):
    training = Training(pictures(in_memory=in_memory), batch_size=batch_size, seed=0)
    drawn = [i for step in range(2 * N) for i in which(training(step))]
    assert len(drawn) == 2 * N * batch_size
    for epoch in range(2 * batch_size):
        assert sorted(drawn[epoch * N : (epoch + 1) * N]) == list(range(N))


def test_a_batch_is_whole_and_its_labels_belong_to_its_pictures():
    batch = Training(pictures(), batch_size=4, seed=0)(3)
    assert batch["image"].shape == (4, 2, 2, 1) and batch["image"].dtype == np.uint8
    assert batch["label"].tolist() == [i % 3 for i in which(batch)] and batch["label"].dtype == np.int32
    assert batch["position"].tolist() == [0, 1, 2, 3]


def test_examples_carry_the_weight_of_their_class():
    weights = np.array([0.5, 2.0, 1.0], np.float32)
    batch = Training(pictures(), batch_size=4, seed=0, weights=weights)(3)
    assert (batch["weight"] == weights[batch["label"]]).all() and batch["weight"].dtype == np.float32
    assert "weight" not in Training(pictures(), batch_size=4, seed=0)(3)


def test_what_stands_beside_the_examples_goes_with_them_through_epochs_and_shares():
    beside = {"teacher": np.arange(2.0 * N).reshape(N, 2)}
    for share in (Share(), Share(1, 2)):
        training = Training(pictures(), batch_size=4, seed=0, beside=beside, share=share)
        for step in range(N):
            batch = training(step)
            assert batch["teacher"].tolist() == beside["teacher"][which(batch)].tolist()


def test_epochs_and_seeds_differ_in_order():
    drawn = {
        seed: [i for step in range(3) for i in which(Training(pictures(Greys(30)), batch_size=20, seed=seed)(step))]
        for seed in (0, 1)
    }
    assert drawn[0] != drawn[1] and drawn[0][:30] != drawn[0][30:]


def test_random_access_equals_the_stream_from_anywhere():
    loaded = Training(pictures(), batch_size=3, seed=5)
    for in_memory in (True, False):
        training = Training(pictures(in_memory=in_memory), batch_size=3, seed=5)
        for start in (0, 4, 19):
            streamed = list(training.stream(start, 20))
            assert len(streamed) == 20 - start
            assert all(same(batch, loaded(step)) for step, batch in enumerate(streamed, start))
        assert same(training(11), loaded(11)) and same(training(2), loaded(2))  # in any order


def test_steps_round_to_whole_batches_and_are_at_least_one():
    training = Training(pictures(), batch_size=3, seed=0)
    assert [training.steps(epochs) for epochs in (0.01, 1.0, 3.0, 30.0)] == [1, 2, 7, 70]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, N, 2 * N])
def test_a_whole_pass_leaves_no_example_out(batch_size):
    training = Training(pictures(), batch_size=batch_size, seed=0)
    seen = [i for batch in training.stream(0, training.steps_to_all) for i in which(batch)]
    assert set(seen) == set(range(N)) and len(seen) - N < batch_size


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
def test_evaluation_covers_every_example_once(batch_size, in_memory):
    batches = list(Evaluation(pictures(in_memory=in_memory), batch_size=batch_size))
    assert {batch["image"].shape for batch in batches} == {(batch_size, 2, 2, 1)}  # one shape: one compilation
    seen = [i for batch in batches for i, real in zip(which(batch), batch["mask"], strict=True) if real]
    assert seen == list(range(N))
    assert sum(int(batch["mask"].sum()) for batch in batches) == N
    assert len(batches) == -(-N // batch_size)


class Lines:
    """Examples of many lengths; `take` gives their positions."""

    in_memory, views = True, 1

    def __init__(self, number):
        self.lengths = np.random.default_rng(0).integers(1, 100, number)

    def __len__(self):
        return len(self.lengths)

    def take(self, positions):
        return {"place": positions}


def test_batches_hold_examples_of_like_length_and_still_every_one_once():
    lines = Lines(1005)
    training = Training(lines, batch_size=10, seed=3)
    epoch = [training(step)["place"] for step in range(101)]
    assert sorted(np.concatenate(epoch)[:1005]) == list(range(1005))
    spread = np.mean([np.ptp(lines.lengths[places]) for places in epoch[:-1]])
    assert spread < 10  # drawn at random, ten of them differ by 80
    firsts = [lines.lengths[places].mean() for places in epoch[:30]]
    assert np.std(np.diff(firsts)) > 20  # short and long batches in turn, not the short ones first
    again = Training(lines, batch_size=10, seed=3)
    np.testing.assert_array_equal(again(57)["place"], epoch[57])
    assert not np.array_equal(training(101)["place"], epoch[0])


def test_texts_are_evaluated_with_others_of_like_length_and_keep_their_places():
    texts = pictures()
    texts.lengths = np.array([5, 2, 9, 2, 7, 1, 9])
    batches = list(Evaluation(texts, batch_size=3))
    assert [which(batch) for batch in batches] == [[5, 1, 3], [0, 4, 2], [6, 5, 5]]
    assert [batch["position"].tolist() for batch in batches] == [[5, 1, 3], [0, 4, 2], [6, 5, 5]]
    assert [batch["mask"].tolist() for batch in batches][-1] == [True, False, False]


@pytest.mark.parametrize("processes", [2, 4])
def test_the_shares_of_all_processes_are_the_batch(processes):
    """And each process reads its own pictures alone."""
    whole, shares = Training(pictures(), batch_size=8, seed=3), []
    for index in range(processes):
        part, asked = pictures(), []
        take = part.take
        part.take = lambda positions, take=take, asked=asked: asked.append(len(positions)) or take(positions)
        share = Share(index, processes)
        training, evaluation = (
            Training(part, batch_size=8, seed=3, share=share), Evaluation(part, batch_size=8, share=share)
        )  # fmt: skip
        shares.append([training(5), *(evaluation(i) for i in range(2))])
        assert asked == [8 // processes] * 3
    plain = [whole(5), *(Evaluation(pictures(), batch_size=8)(i) for i in range(2))]
    for number, batch in enumerate(plain):
        together = {name: np.concatenate([share[number][name] for share in shares]) for name in batch}
        assert same(together, batch)


def test_every_process_pads_texts_to_the_longest_of_the_whole_batch():
    class Texts:
        in_memory, views, lengths = True, 1, np.array([1, 9, 2, 3])

        def __len__(self):
            return 4

        def take(self, positions):
            return {"ids": np.zeros((len(positions), self.lengths[positions].max()), np.int32)}

    for index in range(2):
        batch = Evaluation(Texts(), batch_size=4, share=Share(index, 2))(0)
        assert batch["ids"].shape == (2, 9)
