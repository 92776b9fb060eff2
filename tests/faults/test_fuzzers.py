"""A few mutated files for every reader; `make soak` gives each 10,000."""

import random
import warnings

import pytest

from tests.faults import fuzzers

NAMES = (
    "pictures", "tables", "weights", "cards", "configs of networks", "lock files", "cached features", "cached tokens",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_only_declared_errors(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert list(fuzzers.fuzz(fuzzers.readers(tmp_path)[name], tmp_path, 300, seed=1)) == []


def test_a_mutation_changes_something():
    draw = random.Random(0)
    changed = sum(fuzzers.mutated(b"0123456789" * 10, draw) != b"0123456789" * 10 for _ in range(100))
    assert changed > 90
