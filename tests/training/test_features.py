"""Cached features are what the network computes; each is computed once, whoever asks, and found again."""

import contextlib
import re
import threading
import time

import jax
import numpy as np
import pytest

from tests.training.test_prefix import load
from tljax.core.feature_store import Store
from tljax.core.types import EVALUATE
from tljax.data.batches import Training
from tljax.networks.families import lenet
from tljax.training import features, parallel
from tljax.training.features import Cached, Took
from tljax.training.prefix import Prefix


class Say:
    """A report that keeps what it is told."""

    def __init__(self):
        self.lines = []
        self.say = self.lines.append

    def compiling(self, what):
        return contextlib.nullcontext()

    def progress(self, what, done, total):
        return contextlib.nullcontext(lambda step, text: None)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def part(made, *, stop="conv2", where="memory", name="train", say=None, mode="jit", **more):
    prefix = Prefix(made, stop, parallel.make(mode), augment=more.pop("augment", False))
    return Cached(made.parts[name], name, prefix, say or Say(), where=where, batch_size=16, **more)


def everything(cached):
    return cached.take(np.arange(len(cached) * cached.views))["features"]


def computed(say):
    """How many rows the report says were computed."""
    lines = [line for line in say.lines if line.startswith("features of")]
    return [int(found[1]) if (found := re.search(r"(\d+) computed", line)) else 0 for line in lines]


@pytest.mark.parametrize("stop", [*lenet.build("small").stages, None])
def test_rows_are_the_networks_own(stop):
    made = load()
    images = made.parts["train"].take(np.arange(50))

    @jax.jit
    def rows(images):
        inputs = made.prepare(images, jax.random.key(0), False)["inputs"]
        return made.network.apply(made.variables, inputs, EVALUATE, stop=stop, method="features")

    expected = rows(images)
    found = part(made, stop=stop).take(np.arange(50))
    np.testing.assert_allclose(found["features"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["label"], images["label"])


@pytest.mark.parametrize("where", ["memory", "disk", "process"])
def test_where_rows_lie_changes_no_bit(where):
    expected = everything(part(load(), where="process"))
    first, second = (part(load(), where=where, say=say) for say in (Say(), Say()))
    for cached in (first, second):
        assert everything(cached).tobytes() == expected.tobytes()
        assert cached.take(np.array([7, 3]))["features"].tobytes() == expected[[7, 3]].tobytes()
    assert computed(first._screen) == [50]
    assert computed(second._screen) == [50 if where == "process" else 0]


def test_what_features_took_is_told_by_who_computed_them():
    cached = part(load())
    assert cached.took == Took()
    rows = cached.fill()
    took = cached.took
    assert took.seconds > 0 and (took.tokens, took.places) == (0, 0)
    assert cached.fill() is rows and cached.took == took, "a second call computes nothing"
    assert sum([took, Took(1.0, 2, 3)], Took()) == Took(took.seconds + 1.0, 2, 3)


def test_jit_and_pmap_share_rows():
    expected, say = everything(part(load(), where="process", mode="pmap")), Say()
    np.testing.assert_allclose(everything(part(load())), expected, rtol=1e-5, atol=1e-6)
    everything(part(load(), mode="pmap", say=say))
    assert computed(say) == [0]


def test_seeds_and_parts_share_rows():
    """A new split of the same examples computes only those that no split has had."""
    seen, numbers = set(), []
    for seed in (0, 1):
        say, made = Say(), load(seed=seed)
        made.variables.update(load().variables)  # seeds draw other initial weights too
        for name in made.parts:
            everything(part(made, name=name, say=say))
        numbers.append(computed(say))
        keys = [part(made, name=name)._keys() for name in made.parts]
        expected = []
        for some in keys:
            expected.append(len(set(some) - seen))
            seen |= set(some)
        assert computed(say) == expected
    assert sum(numbers[1]) < sum(numbers[0]) / 2


def test_a_run_cut_off_goes_on_where_it_was(monkeypatch):
    """Shards of two batches; the kill comes in the third batch, so 32 of 50 rows are there."""
    made, run = load(), Prefix.run
    monkeypatch.setattr(features, "SHARD", 2 * 16 * Prefix(made, "conv2", parallel.make("jit")).row_bytes)
    expected = everything(part(made, where="process"))

    def cut(self, batches, report):
        for number, rows in enumerate(run(self, batches, report)):
            if number == 2:
                raise KeyboardInterrupt
            yield rows

    with monkeypatch.context() as patched:
        patched.setattr(Prefix, "run", cut)
        with pytest.raises(KeyboardInterrupt):
            everything(part(made))
    say = Say()
    np.testing.assert_allclose(everything(part(made, say=say)), expected, rtol=1e-5, atol=1e-6)
    assert computed(say) == [18]


def test_a_damaged_shard_is_computed_again(cache):
    expected = everything(part(load()))
    (file,) = cache.glob("*/*.bin")
    file.write_bytes(bytes(file.stat().st_size))
    say = Say()
    assert everything(part(load(), say=say)).tobytes() == expected.tobytes()
    assert "damaged" in say.lines[0] and computed(say)[-1] == 50


def test_two_at_once_compute_once(monkeypatch):
    """Both have seen that nothing is there; the second waits for the first, and finds its rows."""
    made, run, read, missing = load(), Prefix.run, Store.read, []
    met, begun = threading.Barrier(2), threading.local()

    def together(store):
        found = read(store)
        if not hasattr(begun, "first"):
            begun.first = met.wait(60)
        return found

    def slow(*args):
        time.sleep(0.5)
        return run(*args)

    def compute(cached):  # past `rows`, which Python 3.11 lets one thread at a time compute
        missing.append(cached._stored(cached._keys())[1])

    monkeypatch.setattr(Prefix, "run", slow)
    monkeypatch.setattr(Store, "read", together)
    threads = [threading.Thread(target=compute, args=(part(made),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(missing) == [0, 50]


def test_pictures_read_from_disk_have_the_same_rows():
    expected = everything(part(load()))
    say = Say()
    found = part(load(data__in_memory=False), say=say)
    assert everything(found).tobytes() == expected.tobytes() and computed(say) == [0]


def test_twins_are_computed_once():
    made, say = load(), Say()
    images = made.parts["train"].images
    images[10:20] = images[0]
    rows = everything(part(made, say=say))
    assert computed(say) == [len({image.tobytes() for image in images})]
    assert {row.tobytes() for row in rows[10:20]} == {rows[0].tobytes()}
    np.testing.assert_allclose(rows, everything(part(made, where="process")), rtol=1e-5, atol=1e-6)


def test_views_are_draws_of_their_example_alone():
    made, other = load(data__pad=2), load(data__pad=2, seed=1)
    views = everything(part(made, augment=True, views=3)).reshape(3, 50, -1)
    plain = everything(part(made)).reshape(50, -1)
    assert all(np.abs(views[v] - plain).max() > 0.1 for v in range(3))
    assert np.abs(views[0] - views[1]).max() > 0.1 and np.abs(views[1] - views[2]).max() > 0.1
    other.variables.update(made.variables)
    cached = part(other, name="test", augment=True, views=3)
    keys = part(made, augment=True, views=3)._keys()
    first = {key: row.tobytes() for key, row in zip(keys, views.reshape(150, -1), strict=True)}
    drawn = dict(zip(cached._keys(), everything(cached).reshape(cached.views * len(cached), -1), strict=True))
    both = set(first) & set(drawn)
    assert len(both) > 30 and all(drawn[key].tobytes() == first[key] for key in both)


def test_an_epoch_takes_its_view():
    made = load(data__pad=2)
    cached = part(made, augment=True, views=3)
    training, plain = Training(cached, batch_size=50, seed=0), Training(made.parts["train"], batch_size=50, seed=0)
    rows = everything(cached)
    for epoch in range(5):
        order = plain._order(epoch)
        batch = training(epoch)
        assert batch["features"].tobytes() == rows[epoch % 3 * 50 + order].tobytes()
        np.testing.assert_array_equal(batch["label"], plain(epoch)["label"])
