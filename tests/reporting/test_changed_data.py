"""A finished run is asked again: it answers for the data it learned from, not for what lies there now."""

import json
import shutil

import optax
import pytest

from tests import small
from tljax.core.errors import DataError
from tljax.reporting.run_folder import environment
from tljax.runs.run import run


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """(its config, the folder of its pictures, its own)"""
    config = small.photographs(tmp_path / "pictures", monkeypatch)
    config.train.epochs = 1.0
    return config, tmp_path / "pictures", tmp_path / "run"


def swap(root):
    for split in ("train", "test"):
        (root / split / "ant").rename(root / split / "other")
        (root / split / "bee").rename(root / split / "ant")
        (root / split / "other").rename(root / split / "bee")


@pytest.mark.parametrize("in_memory", [True, False])
def test_swapped_class_folders_are_other_data(trained, in_memory):
    config, root, folder = trained
    config.data.in_memory = in_memory
    run(config, folder)
    swap(root)
    with pytest.raises(DataError, match="must be those that it began with; .*(?s:.)*train: 24 examples as before, and"):
        run(config, folder)


def test_more_pictures_are_other_data(trained):
    config, root, folder = trained
    run(config, folder)
    shutil.copy(root / "train" / "ant" / "0.png", root / "train" / "bee" / "new.png")
    with pytest.raises(DataError, match="train: 24 examples then, 25 now"):
        run(config, folder)


def test_files_that_were_written_again_and_hold_the_same(trained, capsys):
    config, root, folder = trained
    first = run(config, folder)
    (root / "train" / "ant" / "0.png").touch()
    again = run(config, folder)
    assert "are not as they were" in capsys.readouterr().out and again["metrics"] == first["metrics"]
    assert run(config, folder) == json.loads((folder / "result.json").read_text())
    said = capsys.readouterr().out
    assert said.startswith("already finished") and "as they were" not in said


def test_code_that_was_changed(trained, tmp_path, capsys):
    config, _, folder = trained
    file, other = tmp_path / "of_my_own.py", tmp_path / "beside_of_my_own.py"
    other.write_text("FACTOR = 1\n")
    file.write_text(
        "import optax\nfrom beside_of_my_own import FACTOR\n\n\n"
        "def slow(learning_rate):\n    return optax.sgd(FACTOR * learning_rate)\n"
    )
    config.optimizer.name, config.optimizer.kwargs = f"{file}:slow", {}
    run(config, folder)
    assert "has changed" not in capsys.readouterr().out
    file.write_text(file.read_text().replace("FACTOR *", "2 *"))
    other.write_text("FACTOR = 2\n")
    run(config, folder)
    said = capsys.readouterr().out
    for one in (file, other):
        assert f"warning: '{one}' has changed since: this is the result of the code as it was then" in said
    (folder / "result.json").unlink()
    then = json.loads((folder / "env.json").read_text())
    then["packages"]["optax"] = "0.0.1"
    (folder / "env.json").write_text(json.dumps(then))
    run(config, folder)
    said = capsys.readouterr().out
    assert f"warning: '{file}' has changed since this run began" in said and f"warning: '{other}' has" in said
    assert f"these have changed: optax 0.0.1 -> {optax.__version__}. What it has computed" in said
    (earlier,) = json.loads((folder / "env.json").read_text())["earlier"]
    assert earlier["packages"]["optax"] == "0.0.1"


@pytest.mark.parametrize("damaged", ["{", "[]", '{"packages": 3}', '{"earlier": 1}'])
def test_an_env_json_that_is_damaged_is_written_again(tmp_path, damaged):
    (tmp_path / "env.json").write_text(damaged)
    assert environment.write(tmp_path) == [] and "packages" in json.loads((tmp_path / "env.json").read_text())


def test_data_that_are_gone(trained, capsys):
    config, root, folder = trained
    first = run(config, folder)
    shutil.rmtree(root)
    assert run(config, folder) == first
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("config.data.dir: its files are gone") and said[-1].startswith("already finished")
