"""Several runs side by side: which ones, in which order, and what one that fails leaves of the others."""

import json
import re
from pathlib import Path

import pytest

from configs import default, digits
from tests import run_folders
from tljax import cli
from tljax.core import overrides
from tljax.core.errors import ConfigError, DataError, TljaxError, WeightsError
from tljax.reporting.report import Report
from tljax.runs import suite


def config(*changes: str):
    base = [
        "suite.rows.low=('optimizer.lr=0.1',)",
        "suite.rows.high=('optimizer.lr=0.9',)",
        "suite.seeds=(3, 4)",
    ]
    return overrides.apply(default.get_config(), [*base, *changes])


class Fake:
    """Stands for `run.run`: notes what it was given; some runs fail."""

    def __init__(self, **failures: Exception) -> None:
        self.failures, self.seen = failures, []

    def __call__(self, config, folder: Path):
        name = "_".join(folder.parts[-2:])
        self.seen.append(name)
        print(f"the tables of {name}")
        if name in self.failures:
            raise self.failures[name]
        return run_folders.result(config.optimizer.lr, seed=config.seed)


def test_expand_gives_every_row_every_seed_in_order():
    plan = suite.expand(config(), Path("s"))
    assert [(row, seed, str(folder)) for row, seed, _, folder in plan] == [
        ("low", 3, "s/low/seed3"),
        ("high", 3, "s/high/seed3"),
        ("low", 4, "s/low/seed4"),
        ("high", 4, "s/high/seed4"),
    ]
    assert [(one.optimizer.lr, one.seed) for _, _, one, _ in plan] == [(0.1, 3), (0.9, 3), (0.1, 4), (0.9, 4)]
    for _, _, one, _ in plan:  # each is one plain run
        assert (dict(one.suite.rows), one.suite.first, one.suite.seeds) == ({}, (), (0,))


def test_expand_begins_with_first_and_fills_in_the_folder():
    plan = suite.expand(digits.get_config(), Path("somewhere"))
    assert [row for row, *_ in plan[:5]] == ["first", "scratch", "linear_probe", "fine_tune", "low_and_high"]
    assert len(plan) == 1 + 4 * 5 and plan[0][3] == Path("somewhere/first")
    assert plan[0][2].data.classes == ("0", "1", "2", "3", "4") and plan[0][2].strategy.name == "scratch"
    assert plan[1][2].model.weights == "" and plan[2][2].model.weights == str(Path("somewhere/first/model").absolute())
    assert digits.get_config().suite.first  # the config itself is as it was


def test_a_row_may_start_from_another_row_of_its_seed():
    plan = suite.expand(config("suite.rows.high=('model.weights={suite}/low/seed{seed}/model',)"), Path("s"))
    low, high = Path("s/low").absolute(), [one.model.weights for row, _, one, _ in plan if row == "high"]
    assert high == [f"{low}/seed3/model", f"{low}/seed4/model"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("suite.rows.bad=('optimizer.lrr=1',)", "config.optimizer.lrr is no key"),
        ("suite.rows.bad=('optimizer.lr=-1',)", "Row 'bad': config.optimizer.lr must be a finite number > 0; got"),
        (
            "suite.rows.bad=('optimizer.lrr=1',)|suite.rows.worse=('seed=3',)",
            "Row 'bad': .* is no key(?s:.*)\nRow 'worse': a row must not set config.seed",
        ),
        (
            "suite.rows.bad=('strategy.name=classic', 'task.mixup=0.2')",
            "Row 'bad': config.strategy.name=classic takes no gradient steps, .*: task.mixup=0.2",
        ),
        ("suite.rows.first=('seed=1',)", "config.suite.rows must not hold 'first'"),
        ("suite.seeds=()", "config.suite.rows and config.suite.seeds must hold something to run"),
    ],
)
def test_nothing_runs_when_one_row_cannot(change, text, tmp_path):
    fake = Fake()
    with pytest.raises(ConfigError, match=text):
        suite.run(fake, config(*change.split("|")), tmp_path / "s")
    assert fake.seen == [] and not (tmp_path / "s").exists()


def test_the_folder_of_one_run_is_none_of_a_suite_nor_the_other_way_round(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="a suite must hold a folder for each row; '.*one' is that of one run"):
        suite.run(Fake(), config(), tmp_path / "one")
    (tmp_path / "many" / "low" / "seed3").mkdir(parents=True)
    (tmp_path / "many" / "low" / "seed3" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"one run must hold one run; '.*many' is that of a suite \(low\)"):
        Report(tmp_path / "many", config(), best="accuracy")


def test_a_row_alone_is_the_same_run_and_leaves_the_table_to_others(tmp_path):
    """So the tasks of an array job are the runs of the suite."""
    whole = {(row, seed): (str(one), folder) for row, seed, one, folder in suite.expand(config(), tmp_path)}
    alone = suite.expand(config("suite.only=high", "suite.seeds=(4,)"), tmp_path)
    assert {(row, seed): (str(one), folder) for row, seed, one, folder in alone} == {("high", 4): whole["high", 4]}
    suite.run(Fake(), config("suite.only=high"), tmp_path)
    assert not (tmp_path / "table.json").exists()
    with pytest.raises(ConfigError, match=re.escape("must be a row of the suite: low, high; got 'hihg'")):
        suite.expand(config("suite.only=hihg"), tmp_path)


def test_a_suite_ends_in_a_table(tmp_path, capsys):
    summaries = suite.run(Fake(), config(), tmp_path)
    assert [(row["name"], row["values"], row["seeds"]) for row in summaries] == [
        ("low", [0.1, 0.1], [3, 4]),
        ("high", [0.9, 0.9], [3, 4]),
    ]
    assert json.loads((tmp_path / "table.json").read_text()) == summaries
    printed = capsys.readouterr().out
    assert "[2/4] high seed 3: test accuracy 0.9000 (2.0 s)" in printed and "the tables of" not in printed
    assert (tmp_path / "high" / "seed3.log").read_text() == "the tables of high_seed3\n"


@pytest.mark.parametrize("failure", [DataError("a bad picture"), RuntimeError("RESOURCE_EXHAUSTED")], ids=repr)
def test_a_failing_run_does_not_lose_the_others(tmp_path, capsys, failure):
    fake = Fake(low_seed4=failure)
    with pytest.raises(type(failure), match=str(failure)):
        suite.run(fake, config(), tmp_path)
    assert fake.seen == ["low_seed3", "high_seed3", "low_seed4", "high_seed4"]
    rows = json.loads((tmp_path / "table.json").read_text())
    assert [(row["name"], row["seeds"]) for row in rows] == [("low", [3]), ("high", [3, 4])]
    assert f"[3/4] low seed 4 failed: {failure}" in capsys.readouterr().out
    assert f"{type(failure).__name__}: {failure}" in (tmp_path / "low" / "seed4.log").read_text()


def test_rows_keep_their_order_when_the_first_run_fails(tmp_path):
    with pytest.raises(RuntimeError):
        suite.run(Fake(low_seed3=RuntimeError("RESOURCE_EXHAUSTED")), config(), tmp_path)
    rows = json.loads((tmp_path / "table.json").read_text())
    assert [(row["name"], row["seeds"]) for row in rows] == [("low", [4]), ("high", [3, 4])]


def test_what_is_missing_for_the_first_run_is_said_once(tmp_path):
    fake = Fake(low_seed3=DataError("no pictures"))
    with pytest.raises(DataError, match="no pictures"):
        suite.run(fake, config(), tmp_path)
    assert fake.seen == ["low_seed3"]


@pytest.mark.parametrize("change", ["model.weights=mine", "data.flip=true", "strategy.name=scratch"])
def test_what_is_missing_for_the_first_row_alone_does_not_lose_the_others(tmp_path, change):
    fake = Fake(low_seed3=WeightsError("no file"))
    with pytest.raises(WeightsError, match="no file"):
        suite.run(fake, config(f"suite.rows.high=('optimizer.lr=0.9', '{change}')"), tmp_path)
    assert fake.seen == ["low_seed3", "high_seed3", "low_seed4", "high_seed4"]
    assert (tmp_path / "table.json").exists()


def test_no_row_runs_after_a_failing_first(tmp_path):
    fake = Fake(**{f"{tmp_path.name}_first": DataError("no data")})
    with pytest.raises(DataError, match="no data"):
        suite.run(fake, config("suite.first='seed=1',"), tmp_path)
    assert fake.seen == [f"{tmp_path.name}_first"] and not (tmp_path / "table.json").exists()


def test_the_exit_code_tells(tmp_path, capsys):
    file = tmp_path / "two.py"
    file.write_text("from tests.runs.test_suite import config\n\ndef get_config():\n    return config()\n")
    arguments = ["main.py", "--config", str(file), "--workdir", str(tmp_path / "s")]
    assert cli.start(arguments, run=Fake()) == 0
    assert cli.start(arguments, run=Fake(high_seed4=DataError("a bad picture"))) == 3
    assert cli.start(arguments, run=Fake(low_seed4=TljaxError("the loss is not finite"))) == 1
    assert capsys.readouterr().err == "error: a bad picture\nerror: the loss is not finite\n"


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("optimizer.lr=0.3", "config.optimizer.lr=0.3 has no effect: low has 0.1, high has 0.9, .* config.suite.rows"),
        ("seed=7", "config.seed=7 has no effect: low has 3, low has 4, whatever it is. Change config.suite.seeds"),
    ],
)
def test_a_flag_that_no_run_heeds_is_refused_before_any_run(tmp_path, capsys, flag, message):
    fake, file = Fake(), tmp_path / "two.py"
    file.write_text("from tests.runs.test_suite import config\n\ndef get_config():\n    return config()\n")
    words = ["main.py", "--config", str(file), "--workdir", str(tmp_path / "s"), "--config.train.epochs=3"]
    assert cli.start([*words, f"--config.{flag}"], run=fake) == 2
    assert re.search(message, capsys.readouterr().err) and fake.seen == [] and not (tmp_path / "s").exists()


@pytest.mark.parametrize("flags", [("optimizer.lr=0.9",), ("seed=4",), ("suite.seeds=3,", "groups={}"), ("seed=8",)])
def test_one_run_that_heeds_a_flag_is_enough(tmp_path, flags):
    first = ("suite.first='data.size=16',",) if flags == ("seed=8",) else ()  # which is of config.seed
    suite.run(fake := Fake(), config(*first, *flags), tmp_path, flags=flags)
    assert "low_seed3" in fake.seen
