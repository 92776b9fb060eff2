"""Values that all processes of a run share. Process 0 decides. Every process makes the same calls in the same order."""

import dataclasses
import itertools
import json
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
WAIT = 60_000  # milliseconds of one wait; it is repeated: what ends a wait for good is `ending`
_numbers, _named, _counting = itertools.count(), dict[str, int](), threading.Lock()


@dataclasses.dataclass(frozen=True)
class Share:
    """Which of `count` equal parts of a batch is this process's."""

    index: int = 0
    count: int = 1

    def of(self, rows: Any) -> Any:
        """The rows of this process; the parts lie one behind the other."""
        size = len(rows) // self.count
        return rows if self.count == 1 else rows[self.index * size : (self.index + 1) * size]


def count() -> int:
    """How many processes the run has. It asks jax only where that is loaded: a short command does not load it."""
    return sys.modules["jax"].process_count() if "jax" in sys.modules and client() is not None else 1


def index() -> int:
    return sys.modules["jax"].process_index() if count() > 1 else 0


def first() -> bool:
    """Whether this is process 0, the only one that writes files."""
    return index() == 0


def share() -> Share:
    return Share(index(), count())


def told(decide: Callable[[], T]) -> T:
    """The value of `decide` in process 0, for every process; it goes through JSON. Only process 0 calls `decide`. Its
    error ends all processes.
    """
    if count() == 1:
        return decide()
    key = f"tljax/told/{next(_numbers)}"
    if first():
        value = decide()
        client().key_value_set(key, json.dumps(value))
        return value
    return json.loads(_get(key))


def gathered(value: T, name: str = "") -> list[T]:
    """The value of every process, in the order of the processes; values go through JSON.

    Args:
      name: of this exchange. It is needed if several threads exchange values at the same time: their order may differ
        from process to process.
    """
    if count() == 1:
        return [value]
    with _counting:
        _named[name] = number = _named.get(name, -1) + 1
    key = f"tljax/gathered/{name}/{number}"
    client().key_value_set(f"{key}/{index()}", json.dumps(value))
    return [json.loads(_get(f"{key}/{i}")) for i in range(count())]


def meet() -> None:
    """Wait until every process has come here."""
    gathered(None)


def copied(tree: Any) -> Any:
    """Process 0's arrays, in every process: a tree of numpy arrays of the same shapes everywhere."""
    if count() == 1:
        return tree
    import jax
    from jax.experimental import multihost_utils

    return jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(tree))


def _get(key: str) -> str:
    while True:
        try:
            return client().blocking_key_value_get(key, WAIT)
        except Exception as error:  # jax's own class of error, with the reason in its text
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def client() -> Any:
    """The key-value store of jax.distributed; None where it was not started. jax has no public name for it."""
    distributed = sys.modules.get("jax._src.distributed")
    return distributed.global_state.client if distributed else None
