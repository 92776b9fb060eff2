"""A run goes on in its own folder, with what it began with; anything else is named."""

import json

import pytest

from tests import small
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.reporting.run_folder import divergence, inputs, ownership
from tljax.runs.run import run

NOW = {"train": "a", "test": "b", "classes": "cat, dog", "examples": {"train": 5, "test": 2}, "weights": "w"}


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ({"train": "c", "examples": {"train": 7, "test": 2}}, "train: 7 examples then, 5 now"),
        ({"train": "c"}, "train: 5 examples as before, and some of them, their labels or their order are others"),
        ({"classes": "cat"}, "classes: cat -> cat, dog"),
        ({"validation": "d"}, "validation: there is none now"),
        ({"weights": ""}, "weights: the pretrained weights are others"),
    ],
)
def test_other_examples_are_named_with_their_numbers(tmp_path, before, said):
    (tmp_path / "inputs.json").write_text(json.dumps(NOW | before))
    with pytest.raises(WeightsError if "weights" in before else DataError) as error:
        inputs.check(tmp_path, NOW)
    assert str(error.value).splitlines()[1:] == [
        f"  {said}",
        "Put what it began with back, or begin another run in another --workdir.",
    ]


@pytest.mark.parametrize("later", [(), ("examples",), ("examples", "weights")])
def test_the_same_examples_go_on_and_so_do_runs_that_wrote_less(tmp_path, later):
    before = {key: x for key, x in NOW.items() if key not in later}
    (tmp_path / "inputs.json").write_text(json.dumps(before))
    assert inputs.check(tmp_path, NOW) == before


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_file_is_named(tmp_path, content):
    for name, check in (("config.json", ownership.check), ("inputs.json", inputs.check)):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=f"must hold a readable {name}; '{tmp_path}' does not"):
            check(tmp_path, "{}")  # pyright: ignore[reportArgumentType]
        (tmp_path / name).unlink()


def test_another_config_is_listed(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 0, "a": {"b": 1}}')
    ownership.check(tmp_path, '{"seed": 0, "a": {"b": 1}}')
    with pytest.raises(ConfigError, match=r"another config:\n  a.b: 1 -> 2\n  seed: 0 -> 3\nChoose another"):
        ownership.check(tmp_path, '{"seed": 3, "a": {"b": 2}}')


@pytest.mark.parametrize("name", ["model", "checkpoints", "metrics.jsonl"])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "theirs").write_text("work of years")
    (tmp_path / "notes.txt").write_text("")  # that a run would not touch
    with pytest.raises(ConfigError, match=f"must not overwrite other files; '.*' holds {name} and no config.json"):
        run(small.config(), tmp_path)
    assert sorted(file.name for file in tmp_path.rglob("*")) == sorted([name, "theirs", "notes.txt"])


def test_a_run_that_diverged_goes_on_at_another_rate_alone(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 0, "optimizer": {"lr": 1.0}}')
    lower = '{"seed": 0, "optimizer": {"lr": 0.1}}'
    with pytest.raises(ConfigError, match="another config"):
        ownership.check(tmp_path, lower)
    divergence.note(tmp_path, 17, ["head"], 0)
    assert ownership.check(tmp_path, lower) == ["optimizer.lr: 1.0 -> 0.1"]
    assert divergence.entries(tmp_path) == [{"step": 17, "not finite": ["head"]}]
    with pytest.raises(ConfigError, match="seed: 0 -> 3"):
        ownership.check(tmp_path, '{"seed": 3, "optimizer": {"lr": 0.1}}')


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("result.json.part123", "model/model.safetensors.part7", "my.parts"):
        (tmp_path / name).write_text("")
    ownership.sweep(tmp_path)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["model", "my.parts"]


def test_one_process_at_a_time(tmp_path):
    with (
        ownership.claimed(tmp_path),
        pytest.raises(ConfigError, match="One process at a time .* at work in .*--workdir"),
        ownership.claimed(tmp_path),
    ):
        pass
    with ownership.claimed(tmp_path):  # once it has ended
        pass


def test_a_second_start_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "run").mkdir()
    with ownership.claimed(tmp_path / "run"), pytest.raises(ConfigError, match="another is at work in"):
        run(small.config(train__epochs=1.0), tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == [".lock"]
    run(small.config(train__epochs=1.0), tmp_path / "run")


def test_a_file_system_without_locks_is_no_fault(tmp_path, monkeypatch):
    def refuse(*_):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock._acquire", refuse)
    with ownership.claimed(tmp_path):
        (tmp_path / "done").touch()
    assert (tmp_path / "done").exists()
