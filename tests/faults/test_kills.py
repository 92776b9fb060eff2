"""kill -9 at any time: the same command ends bit-equal, with every step logged once. All strategies: `make soak`."""

import random

import pytest

from tests.faults.kills import KINDS, Killed
from tests.faults.zygote import Zygote


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


def test_every_strategy_is_in_the_soak():
    assert {"classic", "full", "lora", "surgical"} < set(KINDS)
