"""The lock file: entries of others stay, whoever records at the same time; one entry is never two things."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tljax.core.errors import WeightsError
from tljax.weights import lock_file


def entry(digit: str) -> dict[str, str]:
    return {"file": "model.safetensors", "revision": digit * 40, "sha256": digit * 64}


def record(path: Path, spec: str, digit: str) -> None:
    lock_file.record(path, spec, entry(digit), file=Path("model.safetensors"), beside=())


def test_what_is_recorded_at_the_same_time_is_all_there(tmp_path, monkeypatch):
    read, path = lock_file.read, tmp_path / "deep" / "lock.json"

    def slowly(*arguments, **said):
        found = read(*arguments, **said)
        time.sleep(0.02)  # whoever reads now, reads what is about to be replaced
        return found

    monkeypatch.setattr(lock_file, "read", slowly)
    specs = {f"some/{digit}": digit for digit in "01234567"}
    with ThreadPoolExecutor(len(specs)) as pool:
        list(pool.map(lambda spec: record(path, spec, specs[spec]), specs))
    assert read(path, beside=()) == {spec: entry(digit) for spec, digit in specs.items()}
    assert [file.name for file in path.parent.iterdir()] == ["lock.json"]


def test_what_another_recorded_meanwhile_holds(tmp_path):
    path = tmp_path / "lock.json"
    record(path, "some/one", "1")
    before = path.read_text()
    with pytest.raises(WeightsError, match=f"'some/one' must be the same as in .* revision must be {'1' * 40}, got 2"):
        record(path, "some/one", "2")
    assert path.read_text() == before
    record(path, "some/one", "1")
    assert json.loads(path.read_text()) == {"some/one": entry("1")}
