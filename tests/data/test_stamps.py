"""What a config names is known by its files' names, sizes and times: all of it, not the folder of examples alone."""

import os

import pytest

from configs import default
from tljax.core import config_tables, settings
from tljax.data import stamps

FILES = {
    "data.dir": "a.json",
    "data.pictures": "pictures",
    "model.weights": "net.safetensors",
    "model.tokenizer": "words",
}


@pytest.fixture
def named(tmp_path):
    """A config whose keys name files below tmp_path."""
    config = default.get_config()
    config.data.source = "coco"
    config = settings.resolve(config)[0]
    for key, name in FILES.items():
        place = tmp_path / name
        (place.parent if "." in name else place).mkdir(exist_ok=True)
        (place if "." in name else place / "1.png").write_text("first")
        config_tables.put(config, key, str(place))
    return config


@pytest.mark.parametrize("key", FILES)
def test_a_file_that_is_written_again_is_seen(named, tmp_path, key):
    before = stamps.files(tmp_path / "run", named)
    assert list(before) == list(FILES) and stamps.unchanged(before, tmp_path / "run", named) == (True, [])
    place = tmp_path / FILES[key]
    (place if place.is_file() else place / "1.png").write_text("other")
    os.utime(place if place.is_file() else place / "1.png", (1, 1))
    same, (said,) = stamps.unchanged(before, tmp_path / "run", named)
    assert not same and said.startswith(
        f"finished, but the files in '{place}' are not as they were (1 files of 5 bytes"
    )


def test_other_content_under_the_old_time_is_seen(named, tmp_path):
    """As `cp -p` and `tar` leave it: the same size, and the time of writing of another file."""
    before = stamps.files(tmp_path / "run", named)
    file = tmp_path / FILES["data.dir"]
    time = file.stat().st_mtime_ns
    file.write_text("other")
    os.utime(file, ns=(time, time))
    assert not stamps.unchanged(before, tmp_path / "run", named)[0]


def test_what_is_gone_is_said_and_what_is_no_file_is_left_out(named, tmp_path):
    before = stamps.files(tmp_path / "run", named)
    (tmp_path / "net.safetensors").unlink()
    same, (said,) = stamps.unchanged(before, tmp_path / "run", named)
    assert same and said.startswith("config.model.weights: its files are gone: there is no ")
    named.model.weights = "owner/name"
    assert "model.weights" not in stamps.files(tmp_path / "run", named)


@pytest.mark.parametrize("damaged", [{"data.dir": 3}, {"data.dir": [{"place": "x"}]}, ["data.dir"]])
def test_damage_means_that_the_examples_are_compared(named, tmp_path, damaged):
    same, (said,) = stamps.unchanged(damaged, tmp_path / "run", named)
    assert not same and "damaged" in said and stamps.changed_code(damaged) == []
