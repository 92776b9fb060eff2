"""Files whole or not at all; what the system refuses is said once, with its reason, and leaves nothing behind."""

import errno
import io
import json
import math
import os
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

from tests import small
from tljax import cli
from tljax.__main__ import main
from tljax.core import atomic
from tljax.core.errors import ConfigError, DataError, TljaxError, WeightsError, gather
from tljax.core.feature_store import Store
from tljax.reporting import figures
from tljax.reporting.report import Report
from tljax.reporting.terminal import Screen
from tljax.runs import results
from tljax.serving import exports


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")


def test_a_file_is_written_whole(tmp_path):
    atomic.write(tmp_path / "a.json", "old")
    atomic.write_json(tmp_path / "a.json", {"x": (1.5, math.nan), "y": {"z": -math.inf}, "n": 3})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1.5, None], "y": {"z": None}, "n": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_others_may_read_a_file_as_the_user_lets_them(tmp_path):
    """safetensors' own would be the user's alone."""
    with atomic.whole(tmp_path / "a.safetensors") as part:
        safetensors.numpy.save_file({"x": np.ones(1)}, part)
    (tmp_path / "b").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), ValueError("mine")])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "a").write_text("old")

    def fail():
        with atomic.whole(tmp_path / "a") as part:
            part.write_text("new")
            raise error

    with pytest.raises(ConfigError if isinstance(error, OSError) else type(error)):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


def test_a_folder_that_could_not_be_filled_is_gone_and_an_old_one_stays(tmp_path):
    for name, made in (("new", False), ("old", True)):
        if made:
            (tmp_path / name).mkdir()
        with pytest.raises(ConfigError, match="the disk is full"), atomic.filled(tmp_path / name):
            full()
    assert [file.name for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "it is read-only"),
        (errno.EACCES, "this user may not use it"),
        (errno.ENOTDIR, "a file stands where a folder must be"),
    ],
)
def test_what_the_system_refuses_is_said_with_what_to_do(number, why, tmp_path):
    with pytest.raises(ConfigError) as refused, atomic.writing(tmp_path / "there"):
        raise OSError(number, "said by the system", "elsewhere")
    assert str(refused.value) == (
        f"Files must be written and read where the command line and the config say; '{tmp_path / 'there'}' is refused: "
        f"{why} (said by the system). Make room, or name another place (--workdir, --out, $TLJAX_CACHE), and start the "
        f"same command again: a run goes on from its last checkpoint."
    )


def test_other_faults_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match="said by the system"), atomic.writing(tmp_path):
        raise OSError(errno.EPIPE, "said by the system")
    assert atomic.refusal(FileNotFoundError(errno.ENOENT, "gone", "a file of ours")) is None


def test_a_file_below_a_file_is_refused_by_all_that_write_results(tmp_path):
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "out"
    for attempt in (
        lambda: atomic.make_folder(place),
        lambda: results.save([], place),
        lambda: figures.transfer([[0.5]], ["row"], ["target"], "accuracy", place / "t.png"),
    ):
        with pytest.raises(ConfigError, match="a file stands where a folder must be"):
            attempt()


def test_safetensors_says_it_in_words(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing can be made there"), atomic.writing(tmp_path / "no" / "a"):
        safetensors.numpy.save_file({"x": np.zeros(2)}, tmp_path / "no" / "a")
    with pytest.raises(ConfigError, match="the disk is full"), atomic.whole(tmp_path / "a"):
        raise safetensors.SafetensorError("Error while serializing: No space left on device (os error 28)")


def test_exported_arrays_keep_their_name(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "published", lambda _: {"x": np.arange(3)})
    exports.npz(None, tmp_path / "a.npz.part7")  # pyright: ignore[reportArgumentType]
    with np.load(tmp_path / "a.npz.part7") as found:
        assert found["x"].tolist() == [0, 1, 2]


def test_read_again(tmp_path):
    file = tmp_path / "result.json"
    for text, why in (("{", "Expecting"), ("[]", "holds a list, not a dict"), ("{}", "lacks a, b"), ("[" * 99999, "")):
        file.write_text(text)
        with pytest.raises(DataError, match=rf"must hold a readable result.json; '.*' does not \(.*{why}.*Remove"):
            atomic.read_json(file, keys=("a", "b"))
    file.write_text('{"a": 1, "b": 2}')
    assert atomic.read_json(file, keys=("a", "b")) == {"a": 1, "b": 2}


def test_features_that_no_disk_takes_stay_in_memory_and_that_is_said_once(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    store = Store(tmp_path / "file" / "rows", said.append)
    rows = np.arange(6.0).reshape(2, 3)
    with store.lock():
        found = store.add(["a", "b"], rows) | store.add(["c"], rows[:1] + 1)
    assert {key: array[place].tolist() for key, (array, place) in found.items()} == {
        "a": [0, 1, 2],
        "b": [3, 4, 5],
        "c": [1, 2, 3],
    }
    assert len(said) == 1 and said[0].startswith("features cannot be written to disk; this run keeps them in memory.")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OSError(errno.ENOSPC, "full", "run/log"), 2, "error: Files must be written.*'run/log' is refused.*"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_the_exit_code_tells(error, code, text, capfd):
    def begin():
        raise error

    stdout = os.dup(1)
    try:
        assert cli.guarded(begin) == code
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    assert re.fullmatch(text, capfd.readouterr().err, re.DOTALL)


def test_a_missing_file_of_the_code_keeps_its_traceback():
    def begin():
        raise FileNotFoundError(errno.ENOENT, "gone", "x")

    with pytest.raises(FileNotFoundError):
        cli.guarded(begin)


def test_a_place_that_takes_no_files_is_found_before_anything_is_computed(tmp_path, monkeypatch):
    atomic.check_folder(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="'.*file/run' is refused: a file stands where a folder must be"):
        atomic.check_folder(tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="'.*new' is refused: this user may not use it"):
        atomic.check_folder(tmp_path / "new")
    asked = ["--config", "configs/digits.py", "--workdir", str(tmp_path / "done")]
    with pytest.raises(ConfigError, match="this user may not use it"):
        cli.read(asked)
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "result.json").write_text("{}")
    assert cli.read(asked).workdir == tmp_path / "done"  # of a finished run nothing is written


def test_numbers_that_are_none_end_a_run_and_stand_in_no_file(tmp_path):
    report = Report(tmp_path, small.config(), best="accuracy")
    for broken in (math.nan, math.inf):
        with pytest.raises(TljaxError, match=r"must be finite; of test at step 3: loss (nan|inf)\. .*optimizer\.lr"):
            report.metrics(3, "test", {"loss": broken, "accuracy": 0.5})
        with pytest.raises(TljaxError, match="must be finite; of test: loss"):
            report.finish({"metric": "accuracy", "metrics": {"test": {"loss": broken}}}, {}, print)
    assert list(tmp_path.iterdir()) == []
    with report.opened({}), report.training(0, 10, seconds=0.0):
        report.metrics(3, "train", {"loss": 0.5, "grad_norm": math.inf})  # an optimizer may skip such a step
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {"step": 3, "part": "train", "loss": 0.5, "grad_norm": None}


def test_nobody_reads_what_is_said(tmp_path):
    """rich would end the program with its own exit code."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    screen = Screen()
    screen.console.file = Closed()
    with pytest.raises(BrokenPipeError):
        screen.say("a line")


def test_a_cache_of_programs_that_takes_no_files_is_said_and_gone_without(tmp_path, monkeypatch, capsys):
    kept = []
    monkeypatch.setattr(jax.config, "update", lambda *what: kept.append(what))
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    cli.keep_compiled()
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "full"))
    monkeypatch.setattr(cli, "ROOM", 2**80)
    cli.keep_compiled()
    said = capsys.readouterr().err.splitlines()
    assert kept == [] and len(said) == 2
    assert "compiled programs are not kept. Files must" in said[0] and "MiB free. Make room" in said[1]


@pytest.mark.parametrize("verb", ["score", "compare", "lr_find", "export", "table", "zoo"])
def test_help_says_what_a_verb_does(verb, capsys):
    for arguments in ([verb, "--help"], ["zoo", "check", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments)
        said = capsys.readouterr().out
        assert len(re.findall(r"[a-z]{3,}", said.partition("options:")[0].partition("\n\n")[2])) > 5
        assert "Raises" not in said


def test_a_config_that_is_nowhere_is_named_with_what_there_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lr_find"]) == 2
    assert "Give one of a folder or table and --config; got none." in capsys.readouterr().err
    assert main(["lr_find", "--config=configs/digitz.py"]) == 2
    said = capsys.readouterr().err
    assert "comes with tljax (" in said and "ants_bees, " in said and "got 'configs/digitz.py'" in said


def test_what_two_readers_find_is_said_once():
    def fail(text):
        raise WeightsError(text)

    with pytest.raises(WeightsError, match="^config.json is damaged$"):
        gather(*[lambda: fail("config.json is damaged")] * 2)
    with pytest.raises(WeightsError, match="^one\ntwo$"):
        gather(lambda: fail("one"), lambda: fail("two"), lambda: fail("one"))
