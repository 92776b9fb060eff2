"""A folder of many runs means its best row, by validation and never by the test part."""

import pytest

from tests import run_folders
from tljax.core.errors import DataError
from tljax.runs import chosen_run


def write(place, test, validation=None, seed=0):
    found = run_folders.result(test, seed=seed)
    if validation is not None:
        found["metrics"]["validation"] = {"accuracy": validation, "examples": 10}
    return run_folders.write(place, {"seed": seed}, found)


def test_the_best_row_is_that_of_validation(tmp_path):
    for seed, (high, low) in enumerate([(0.9, 0.5), (0.7, 0.6)]):
        write(tmp_path / "low" / f"seed{seed}", 0.99, low, seed)  # the test part would choose this one
        write(tmp_path / "high" / f"seed{seed}", 0.4, high, seed)
    write(tmp_path / "few" / "seed0", 0.4, 0.95)  # a row that has lost a seed
    folder, note = chosen_run.of(tmp_path)
    assert folder == tmp_path / "high" / "seed0"
    assert "3 rows of up to 2 seeds" in note and "(0.9000; mean of the row 0.8000)" in note


def test_one_run_is_itself(tmp_path):
    run = write(tmp_path / "run", 0.5)
    (run / "model").mkdir()
    assert chosen_run.of(run) == (run, "") and chosen_run.of(run / "model") == (run / "model", "")
    with pytest.raises(DataError, match=f"There must be a run's folder '{tmp_path}/rum'.* Near it there is '{run}'"):
        chosen_run.of(tmp_path / "rum")


def test_a_folder_of_other_runs_names_them(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name, 0.5)
    with pytest.raises(DataError, match=f"holds 2. Name one: {tmp_path}/one, {tmp_path}/two"):
        chosen_run.of(tmp_path)


def test_seeds_of_one_row_need_no_validation_part(tmp_path):
    for seed in (0, 1):
        write(tmp_path / "row" / f"seed{seed}", 0.5 + seed / 10, seed=seed)
    folder, note = chosen_run.of(tmp_path)
    assert folder == tmp_path / "row" / "seed0" and "2 seeds of one row" in note


def test_the_test_part_chooses_nothing(tmp_path):
    write(tmp_path / "a" / "seed0", 0.5)
    write(tmp_path / "b" / "seed0", 0.9)
    with pytest.raises(DataError, match=r"'.*' holds a, b, without one.* Name one of its runs: .*a/seed0\."):
        chosen_run.of(tmp_path)
