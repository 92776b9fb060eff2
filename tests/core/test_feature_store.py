"""Rows on disk: exactly what was put there, or, after a kill or damage, nothing."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tljax.core import feature_store
from tljax.core.feature_store import Store

ROWS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
KEYS = list("abcde")


def store(tmp_path, said=None):
    return Store(tmp_path / "rows", (said if said is not None else []).append)


def content(found):
    return {key: rows[place].tobytes() for key, (rows, place) in found.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_come_back_bit_by_bit(tmp_path, dtype):
    rows, one = ROWS.astype(jnp.dtype(dtype)), store(tmp_path)
    assert one.read() == {}
    one.add(KEYS[:2], rows[:2])
    one.add(KEYS[2:], rows[2:])
    found = store(tmp_path).read()
    assert content(found) == {key: row.tobytes() for key, row in zip(KEYS, rows, strict=True)}
    assert {(str(rows.dtype), rows.shape[1:]) for rows, _ in found.values()} == {(dtype, (2, 3))}
    assert all(isinstance(rows, np.memmap) for rows, _ in found.values())


def flip(file):
    data = bytearray(file.read_bytes())
    data[7] ^= 1
    file.write_bytes(data)


def fewer_keys(file):
    index = file.with_suffix(".json")
    index.write_text(json.dumps(json.loads(index.read_text()) | {"keys": ["a"]}))


DAMAGE = {
    "flipped": (flip, "do not match their checksum"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-4]), "do not match their checksum"),
    "gone": (lambda file: file.unlink(), "No such file"),
    "no index": (lambda file: file.with_suffix(".json").write_text("{"), "Expecting"),
    "keys": (fewer_keys, "must have a key for each row"),
    "empty": (lambda file: file.write_bytes(b""), "do not match their checksum"),
    "empty index": (lambda file: file.with_suffix(".json").write_bytes(b""), "Expecting"),
    "index of numbers": (lambda file: file.with_suffix(".json").write_text("[1]"), "indices"),
    "deep index": (lambda file: file.with_suffix(".json").write_text("[" * 10**5), "nested too deep"),
    "bytes": (lambda file: file.with_suffix(".json").write_bytes(b"\xff\xfe{}"), "codec"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_shard_is_left_out_and_named(tmp_path, kind):
    damage, message = DAMAGE[kind]
    said = []
    one = store(tmp_path, said)
    one.add(KEYS[:2], ROWS[:2])
    (file,) = (tmp_path / "rows").glob("*.bin")
    one.add(KEYS[2:], ROWS[2:])
    damage(file)
    assert set(one.read()) == {"c", "d", "e"}
    (text,) = said
    assert str(file) in text and message in text and "computed again" in text
    file.unlink(missing_ok=True)
    file.with_suffix(".json").unlink()
    one.add(KEYS[:2], ROWS[:2])
    assert set(one.read()) == set(KEYS)


def test_rows_that_the_disk_lost_at_once_are_in_memory(tmp_path, monkeypatch):
    one = store(tmp_path)
    monkeypatch.setattr(one, "_shard", lambda _: {})
    assert content(one.add(KEYS[:2], ROWS[:2])) == content(dict(zip(KEYS, ((ROWS, 0), (ROWS, 1)), strict=False)))


def test_a_write_that_was_cut_off_is_not_there(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(feature_store, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            store(tmp_path).add(KEYS, ROWS)
    assert store(tmp_path).read() == {}
    store(tmp_path).add(KEYS, ROWS)
    assert set(store(tmp_path).read()) == set(KEYS)


def test_two_that_write_the_same_do_no_harm(tmp_path):
    one, other = store(tmp_path), store(tmp_path)
    one.add(KEYS, ROWS)
    before = one.read()
    other.add(KEYS, ROWS)
    assert content(one.read()) == content(before) == dict(zip(KEYS, (row.tobytes() for row in ROWS), strict=True))
    assert len(list((tmp_path / "rows").glob("*.bin"))) == 1


def test_equal_rows_of_other_keys_are_shards_of_their_own(tmp_path):
    one = store(tmp_path)
    for key in "bc":
        one.add([key], np.zeros((1, 3), np.float32))
    assert content(one.read()) == dict.fromkeys("bc", bytes(12))


def test_what_a_killed_process_left_is_taken_away(tmp_path):
    one = store(tmp_path)
    one.add(KEYS, ROWS)
    (tmp_path / "rows" / "0123.bin.part99").write_bytes(bytes(100))
    with one.lock():
        left = {file.suffix for file in (tmp_path / "rows").iterdir() if file.name != ".lock"}
    assert left == {".bin", ".json"} and set(one.read()) == set(KEYS)
