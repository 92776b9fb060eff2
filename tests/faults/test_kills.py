"""kill -9 at any time: the same command ends bit-equal, with every step logged once. All strategies: `make soak`."""

import random
from pathlib import Path

import pytest

from tests.faults.kills import KINDS, Killed
from tests.faults.zygote import Zygote

THREE_PHASES = Path(__file__).with_name("three_phases.py")


@pytest.fixture(scope="module")
def zygote():
    one = Zygote()
    yield one
    one.close()


@pytest.mark.parametrize("strategy", ["full", "gradual_unfreeze", "lora", "lp_ft", "mixout"])
def test_a_killed_run_goes_on(strategy, zygote, tmp_path):
    killed = Killed(zygote, strategy, tmp_path / strategy)
    kills, wrong = killed.until_done("run", random.Random(strategy), most=4)
    assert wrong == "" and kills, wrong


def test_a_run_killed_in_every_phase_goes_on(zygote, tmp_path):
    """10 steps in three phases; at 3 the first ends: the run saves, and compiles the second."""
    killed = Killed(zygote, str(THREE_PHASES), tmp_path / "phases")
    assert killed.killed_at("run", (1, 3, 5, 8)) == ""
    assert any("opt_state" in name for name in killed.whole[2])


def test_every_strategy_is_in_the_soak():
    assert {"classic", "full", "lora", "surgical"} < set(KINDS)
