"""model.json of a folder that travelled: read, or refused in words, whatever stands in it."""

import dataclasses
import json
import time

import pytest

from tests.mutations import mutated
from tests.serving.test_saved_model import saved  # noqa: F401
from tljax.__main__ import main
from tljax.core.errors import DataError, TljaxError
from tljax.networks.families import lenet
from tljax.serving import model_json, saved_model


def test_a_mutated_file_is_read_or_refused_in_words(saved):  # noqa: F811
    folder = saved[0]
    said = json.loads((folder / "model.json").read_text())
    said["variant"] = dataclasses.asdict(lenet.VARIANTS["small"])
    (folder / "model.json").write_text(json.dumps(said))
    assert saved_model.load(folder).variant == said["variant"]
    refused, slow = 0, 0.0
    for what, text in mutated(said):
        (folder / "model.json").write_text(text)
        began = time.perf_counter()
        try:
            saved_model.load(folder)
        except TljaxError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        slow = max(slow, time.perf_counter() - began)
    assert refused > 100 and slow < 10


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dtype": "int8"}, "dtype must be one of float32, bfloat16; got 'int8'"),
        ({"classes": [1, 2]}, r"classes must be a list of names; got \[1, 2\]"),
        (
            {"input": {"resize": 10**9, "crop": 0, "size": 8, "channels": 1}},
            r"input: resize must be a whole number in \[1, 8192\]",
        ),
        (
            {"input": {"lengths": [-1], "pairs": False}},
            r"input: lengths must be a list of a whole number in \[1, 65536\]",
        ),
        ({"input": 3}, "input must be an object; got 3"),
        ({"family": 3}, "family must be a text; got 3"),
        ({"known": []}, "known must be an object"),
    ],
)
def test_what_cannot_be_meant_is_named(saved, change, why):  # noqa: F811
    file = saved[0] / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match=why):
        model_json.read(saved[0])


def test_names_of_classes_reach_no_terminal_as_commands(saved, capsys, tmp_path):  # noqa: F811
    from PIL import Image

    file = saved[0] / "model.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"classes": ["\x1b[2Jgone", "\u202eback", "fine"]}))
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    assert main(["predict", str(saved[0]), str(tmp_path / "one.png"), "--top=3"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\u202e" not in printed
    assert r"\x1b[2Jgone 0." in printed and r"\u202eback 0." in printed
