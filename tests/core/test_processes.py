"""Several processes without any: flags and launchers, shares of a batch, one signal for all; a store stands in."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tljax.__main__ import main
from tljax.core import signals
from tljax.core.errors import ConfigError
from tljax.core.processes import agreement, ending, joining
from tljax.core.processes.agreement import Share
from tljax.core.processes.deadline import Deadline
from tljax.core.processes.joining import Place


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ([], None),
        (["--distributed"], Place()),
        (["--distributed=auto"], Place()),
        (["--distributed=off"], None),
        (["--distributed=10.0.0.1:1234,2,4"], Place("10.0.0.1:1234", 2, 4)),
        (["--distributed=a:1,0,2,join=60,heartbeat=9"], Place("a:1", 0, 2, 60, 9)),
        (["--distributed=a:1,0,1"], None),
    ],
)
def test_where_a_process_stands(words, place):
    arguments = ["train", *words, "--workdir", "x"]
    assert joining.placed(arguments, {}) == place
    assert arguments == ["train", "--workdir", "x"]


@pytest.mark.parametrize("value", ["a:1", "a:1,2,2", "a,0,2", "a:1,0,2,slow=3", "a:1,x,2", "a:1,-1,2"])
def test_a_place_that_cannot_be_is_one_error(value):
    with pytest.raises(ConfigError, match=f"must be auto, off, or HOST:PORT,INDEX,COUNT.*; got '{value}'"):
        joining.placed([f"--distributed={value}"], {})


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "7"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "4"}, True),
        ({"OMPI_MCA_orte_hnp_uri": "x", "OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_launchers_that_are_recognised(environment, several):
    assert joining.launched(environment) is several
    assert (joining.placed([], environment) is not None) is several
    assert joining.placed(["--distributed=off"], environment) is None


def test_a_verb_comes_together_once(monkeypatch):
    """A launcher's variables stay where they are: a second call would join again, which jax refuses."""
    calls = []
    monkeypatch.setattr(joining, "join", lambda arguments: calls.append(list(arguments)))
    assert main(["options", "strategies", "lora"]) == 0
    assert calls == [["options", "strategies", "lora"]]


def test_one_process_decides_for_itself():
    assert (agreement.count(), agreement.index(), agreement.first()) == (1, 0, True)
    assert agreement.told(lambda: {"a": 1}) == {"a": 1} and agreement.gathered(3) == [3]
    ending.together(3, "nobody is told")  # it returns


def test_shares_lie_behind_one_another():
    rows = np.arange(12)
    np.testing.assert_array_equal(np.concatenate([Share(i, 4).of(rows) for i in range(4)]), rows)
    assert Share().of(rows) is rows


class Store:
    """As the key-value store of jax.distributed."""

    def __init__(self):
        self.values, self.changed = {}, threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self.changed:
            if key in self.values and not allow_overwrite:
                raise RuntimeError("ALREADY_EXISTS")
            self.values[key] = value
            self.changed.notify_all()

    def key_value_try_get(self, key):
        with self.changed:
            if key not in self.values:
                raise RuntimeError("NOT_FOUND")
            return self.values[key]

    def key_value_dir_get(self, folder):
        with self.changed:
            return [(key, value) for key, value in self.values.items() if key.startswith(folder)]

    def blocking_key_value_get(self, key, milliseconds):
        with self.changed:
            assert self.changed.wait_for(lambda: key in self.values, milliseconds / 1000), key
            return self.values[key]


@pytest.fixture
def three(monkeypatch):
    """Three processes, each a thread that says its own number."""
    place, store = threading.local(), Store()
    monkeypatch.setattr(agreement, "client", lambda: store)
    monkeypatch.setattr(agreement, "count", lambda: 3)
    monkeypatch.setattr(agreement, "index", lambda: place.index)

    def each(function):
        found = [None] * 3

        def one(index):
            place.index = index
            found[index] = function(index)

        threads = [threading.Thread(target=one, args=(i,)) for i in range(3)]
        [thread.start() for thread in threads]
        [thread.join(30) for thread in threads]
        return found

    each.place, each.store = place, store
    return each


def test_all_heed_a_signal_at_the_same_poll(three):
    """Processes are at polls 4, 9 and 6 when one of them is sent SIGTERM: all heed it at the tenth."""
    watches = [ending.Watch(20.0) for _ in range(3)]
    for watch, polls in zip(watches, (4, 9, 6), strict=True):
        assert [watch.due() for _ in range(polls)] == [[]] * polls
    watches[2].wish(15)
    three.store.values["tljax/signal/0"] = "15"  # as the watch of process 2 has written it
    three(lambda i: watches[i].look())
    heeded = [[watch.due() for _ in range(12 - polls)] for watch, polls in zip(watches, (4, 9, 6), strict=True)]
    assert [polls + found.index([15]) + 1 for polls, found in zip((4, 9, 6), heeded, strict=True)] == [10, 10, 10]
    assert all(found.count([15]) == 1 for found in heeded)
    watches[0].wish(10)  # a second signal, after the first

    def look(i):
        if i:
            three.store.blocking_key_value_get("tljax/signal/1", 9000)
        watches[i].look()

    three(look)
    assert [watch.due() for watch in watches] == [[10]] * 3


def test_time_is_up_for_all_at_once_by_the_clock_of_process_0(three, monkeypatch):
    wishes, asked = [], []
    monkeypatch.setattr(
        signals, "_asked", signals._Asked(others=SimpleNamespace(due=lambda: asked, wish=wishes.append))
    )
    first, other = Deadline(time.monotonic() - 1), Deadline(time.monotonic() - 1)
    for _ in range(3):
        for index, deadline in ((0, first), (1, other)):
            three.place.index = index
            assert not deadline.passed()
        signals.poll()
    assert wishes == [signals.TIME_UP]  # said once, and by process 0 alone
    asked.append(signals.TIME_UP)
    signals.poll()
    assert first.passed() and other.passed()


def test_the_first_failure_ends_all_with_its_words(three, monkeypatch, capsys):
    left = []
    monkeypatch.setattr(ending, "_leave", lambda code: left.append((agreement.index(), code)))
    monkeypatch.setattr(ending.time, "sleep", lambda seconds: None)
    three.place.index = 1
    ending.together(3, "Every picture must be readable")
    ending.together(2, "a later one")
    three.place.index = 2
    ending.Watch(20.0).look()
    assert left == [(1, 3), (1, 2), (2, 3)]
    assert capsys.readouterr().err == "error: process 1 ended the run: Every picture must be readable\n"
    assert json.loads(three.store.values["tljax/failed"])["why"] == "Every picture must be readable"


def test_a_process_that_does_not_answer_is_named(three, monkeypatch, capsys):
    left, now = [], [100.0]
    monkeypatch.setattr(ending, "_leave", left.append)
    monkeypatch.setattr(ending.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ending.time, "monotonic", lambda: now[0])
    watches = [ending.Watch(20.0) for _ in range(3)]
    for second in range(40):
        now[0] = 100.0 + second
        for i in range(3):
            three.place.index = i
            if i < 2 or second < 5:
                watches[i].look()
        if left:
            break
    assert 24 <= second <= 26 and left[0] == 1  # process 0 heard the last word in the second after it
    assert "process 2 has not answered for 20 s" in capsys.readouterr().err


def test_the_thread_that_looks_ends_before_python_does(monkeypatch):
    """Where Python ends a thread within jax's client, the process is aborted: a job that was done ended with 134."""
    looks, at_exit = threading.Event(), []
    monkeypatch.setattr(ending, "EVERY", 0.001)
    monkeypatch.setattr(ending.Watch, "look", lambda self: looks.set())
    monkeypatch.setattr(signals, "share", lambda others: None)
    monkeypatch.setattr("atexit.register", at_exit.append)
    ending.watch(20.0)
    assert looks.wait(10)
    (stop,) = at_exit
    stop()
    assert "tljax processes" not in [thread.name for thread in threading.enumerate()]


def test_a_signal_waits_for_the_others(monkeypatch):
    wishes, due = [], [[], [15]]
    one = type("One", (), {"wish": lambda _, number: wishes.append(number), "due": lambda _: due.pop(0)})()
    monkeypatch.setattr(signals, "_asked", signals._Asked())

    def work():
        with signals.held():
            signals._heed(15, None)
            assert wishes == [15]
            signals.poll()  # not yet
            signals.poll()
            raise AssertionError("all heed it here")

    with signals.watched():
        signals.share(one)
        with pytest.raises(signals.Stopped):
            work()
