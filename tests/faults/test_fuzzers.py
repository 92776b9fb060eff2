"""A few mutated files for every reader; `make soak` gives each 10,000."""

import random
import warnings

import pytest

from tests.faults import foreign_files, fuzzers

NAMES = (
    "pictures", "tables", "weights", "cards", "configs of networks", "lock files", "cached features", "cached tokens",
    "boxes of COCO", "boxes of VOC", "boxes of YOLO", "masks", "masks of objects", "files of classes", "parquet",
    "tokenizers", "configs of runs", "configs to resume", "inputs of runs", "decisions of runs", "results of runs",
    "model.json", "torch checkpoints",
)  # fmt: skip
NUMBER = 200


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def readers(root):
    return {**fuzzers.readers(root), **foreign_files.readers(root)}


@pytest.mark.parametrize("name", NAMES)
def test_only_declared_errors(name, readers, root, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(root / "cache"))
    if name not in readers:
        pytest.skip("torch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert list(fuzzers.fuzz(readers[name], root, NUMBER, seed=1)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_read(name, readers, root, monkeypatch):
    """So that mutations reach what is behind the first check."""
    monkeypatch.setenv("TLJAX_CACHE", str(root / "cache"))
    if name not in readers:
        pytest.skip("torch is not installed")
    refused = {}
    for file, content in readers[name].seeds:
        (root / file).write_bytes(content)
        try:
            readers[name].read(root / file)
        except readers[name].declared as error:
            refused[file] = str(error)
    assert readers[name].seeds and refused == {}


def test_every_reader_has_its_test(readers):
    assert set(readers) <= set(NAMES)


def test_a_mutation_changes_something():
    draw = random.Random(0)
    changed = sum(fuzzers.mutated(b"0123456789" * 10, draw) != b"0123456789" * 10 for _ in range(100))
    assert changed > 90
