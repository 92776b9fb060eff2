"""The config in a run folder is data: held to its types, and no code runs because it names it."""

import json

import pytest

from configs import default
from tljax.core import settings
from tljax.core.errors import DataError
from tljax.serving import stored_config


def write(folder, **data):
    config = json.loads(settings.to_json(settings.resolve(default.get_config())[0]))
    config["data"] |= data
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "config.json"


def test_what_a_run_wrote_is_read_again(tmp_path):
    file = write(tmp_path, source="text_csv", dir="here", columns={"text": "body", "pair": "", "label": "kind"})
    found = stored_config.read(file, "bert")
    assert found.data.dir == "here" and found.data.columns.text == "body" and found.data.columns.split == ""
    assert found.data.fractions == (0.7, 0.0, 0.3) or isinstance(found.data.fractions, tuple)
    assert stored_config.place(tmp_path) == stored_config.place(tmp_path / "model") == file
    (tmp_path / "else").mkdir()
    assert stored_config.place(tmp_path / "else" / "run") is None


def test_what_the_source_found_out_in_training_is_kept(tmp_path):
    file = write(tmp_path, source="voc", first_pixel=-1)
    assert stored_config.read(file, "lenet").data.first_pixel == -1
    (tmp_path / "inputs.json").write_text('{"read": {"first_pixel": 0, "strange": 1}}')
    assert stored_config.read(file, "lenet").data.first_pixel == 0
    (tmp_path / "inputs.json").write_text('{"read": {"first_pixel": 7}}')
    with pytest.raises(DataError, match="must be -1, 0 or 1; got 7"):
        stored_config.read(file, "lenet")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"source": "text_csv", "columns": {"text": 3}}, "config.data.columns.text must be of type str"),
        ({"channels": "three"}, "of type int"),
        ({"source": "text_csv", "delimiter": "two"}, "config.data.delimiter must be '', tab, or one character"),
        ({"strange": 1}, "config.data.strange"),
    ],
)
def test_damage_is_named(tmp_path, data, said):
    file = write(tmp_path, **data)
    with pytest.raises(DataError, match="must hold how a run of this version reads its data") as error:
        stored_config.read(file, "bert" if data.get("source") else "lenet")
    assert said in str(error.value)


def test_no_code_runs_because_a_folder_names_it(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("raise SystemExit('it ran')")
    file = write(tmp_path, source=str(bad))
    with pytest.raises(DataError, match="--plugins"):
        stored_config.read(file, "lenet")
