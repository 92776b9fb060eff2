"""Groups with a rate, decay, schedule or optimizer of their own: by hand, and what is refused."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import default
from tests.training.test_optimizer import GROUPS, PARAMS
from tests.training.test_train_step import make_job
from tljax.core.errors import ConfigError
from tljax.core.types import Phase
from tljax.training import group_settings, lr_sweep, optimizer, plan_rates
from tljax.training.optimizers import group_table

EACH = {"stem": 1.0, "stage1": 1.0, "stage2": 1.0, "head": 1.0}
OWN = {
    "low": {"lr": 1e-4, "weight_decay": 0.5},
    "high": {"name": "adamw", "weight_decay": 0.2},
    "head": {"schedule": "linear"},
}


def config(groups, **changes):
    one = default.get_config().optimizer
    one.update(lr=0.1, **changes)
    one.kwargs.momentum = 0.9
    one.groups = ConfigDict(groups, sort_keys=False)
    return one


def test_a_step_of_every_group_by_hand():
    one = config(OWN)
    phases = (Phase("only", 1.0, {"low": 0.01, "high": 0.5, "head": 1.0}),)
    tx = optimizer.make(one, plan_rates.rates(phases, 10, one)[0], optimizer.labels(GROUPS, ("low", "high", "head")))
    grads = jax.tree.map(np.ones_like, PARAMS)
    state = tx.init(PARAMS)
    first, state = tx.update(grads, state, PARAMS)
    second, _ = tx.update(grads, state, PARAMS)
    bias = 1e-4 * (1 + 0.5 * 1)  # the rate is the group's own, whatever its scale; decay in the gradient
    np.testing.assert_allclose(first["backbone"]["a"]["bias"], -bias, rtol=1e-6)
    np.testing.assert_allclose(second["backbone"]["a"]["bias"], -1.9 * bias, rtol=1e-6)  # the run's momentum
    adamw = 0.1 * 0.5 * (1 + 0.2 * 2)  # Adam's first update is 1; the run's rate times the scale
    np.testing.assert_allclose(first["backbone"]["b"]["kernel"], -adamw, rtol=1e-5)
    np.testing.assert_allclose(first["head"]["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_allclose(second["head"]["kernel"], -1.9 * 0.1 * 0.9, rtol=1e-6)  # a tenth of the way down


def test_a_rate_of_its_own_follows_the_plan_from_phase_to_phase():
    one = config({"low": {"lr": 1e-4}})
    phases = (
        Phase("head", 0.2, {"low": 0.0, "head": 1.0}),
        Phase("all", 0.6, {"low": 0.1, "head": 1.0}),
        Phase("slow", 1.0, {"low": 0.05, "head": 0.5}),
    )
    shown = [plan_rates.rate_at(phases, 10, one, step) for step in (0, 3, 8)]
    assert [rates["low"] for rates in shown] == [0.0, 1e-4, 5e-5]
    assert [rates["head"] for rates in shown] == pytest.approx([0.1, 0.1, 0.05])
    used = plan_rates.rates(phases, 10, one)[1]["low"]  # its optimizer begins to count at step 2
    assert [float(used(step)) for step in (1, 6)] == pytest.approx([1e-4, 5e-5])


def test_rates_for_people_are_those_of_groups_with_their_own_schedules():
    one = config(OWN, schedule="cosine", warmup=0.2)
    phases = (Phase("only", 1.0, {"low": 0.1, "high": 0.5, "head": 1.0}),)
    used = plan_rates.rates(phases, 20, one)[0]
    for step in range(20):
        shown = plan_rates.rate_at(phases, 20, one, step)
        assert shown == pytest.approx({group: float(rate(step)) for group, rate in used.items()}, abs=1e-7)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {"low": {"lrr": 1.0}, "head": {"decay": 1}},
            "low.lrr is no key: .*Did you mean 'lr'.*\n.*head.decay is no key",
        ),
        ({"low": {"lr": 0}}, "low.lr must be a finite number > 0; got 0"),
        ({"low": {"weight_decay": "much"}}, "low.weight_decay must be a finite number >= 0; got 'much'"),
        ({"low": 0.1}, "low must be a table of lr, weight_decay, .*; got 0.1"),
        ({"low": {"name": "adamv"}}, "Did you mean 'adam"),
        ({"low": {"schedule": "cosinus"}}, "'cosinus' must be a schedule"),
        ({"low": {"kwargs": {"momentun": 0.9}}}, "kwargs must fit 'sgd'"),
    ],
)
def test_settings_that_cannot_be_meant(groups, message):
    with pytest.raises(ConfigError, match=message):
        optimizer.check(config(groups))


def test_names_that_are_no_groups_are_all_listed_with_near_ones():
    job, start = make_job({"stem": 0.0, "stage1": 1.0, "stage2": 1.0, "head": 1.0})
    job.config.optimizer.groups.update({"stage": {"lr": 1.0}, "tail": {"lr": 1.0}, "head": {"lr": 1.0}})
    with pytest.raises(ConfigError) as caught:
        group_table.tables(job, start)
    assert str(caught.value) == (
        "config.optimizer.groups must name groups of this run (stem, stage1, stage2, head); "
        "got 'stage' (near 'stage2'), 'tail'. Change these names, or change the groups in config.groups."
    )


def test_the_table_shows_what_each_group_is_trained_with():
    job, start = make_job({"stem": 0.0, "stage1": 0.1, "stage2": 1.0, "head": 1.0}, schedule="cosine")
    job.config.optimizer.groups.update({"stage1": {"lr": 1e-4, "weight_decay": 0.5}, "head": {"name": "adamw"}})
    ((_, columns, rows),) = group_table.tables(job, start)
    shown = {row[0]: [row[columns.index(key)] for key in ("lr", "decay", "optimizer", "schedule")] for row in rows}
    assert shown == {
        "stem": ["frozen", "-", "-", "-"],
        "stage1": ["0.0001 (its own)", "0.5", "sgd", "cosine"],
        "stage2": ["0.1", "0", "sgd", "cosine"],
        "head": ["0.1", "0", "adamw", "cosine"],
    }


def test_neighbours_that_are_frozen_alike_are_one_row():
    job, start = make_job({"stem": 0.0, "stage1": 0.0, "stage2": 1.0, "head": 0.0})
    sizes = {row[0]: int(row[2].replace(",", "")) for row in group_table.rows(*make_job(EACH), 0)}
    first, *others = group_table.rows(job, start, 0)
    assert first[:2] == ["stem to stage1", "stem to stage1"] and first[4] == "frozen"
    assert int(first[2].replace(",", "")) == sizes["stem"] + sizes["stage1"]
    assert first[3] == f"{(sizes['stem'] + sizes['stage1']) / sum(sizes.values()):.1%}"
    assert [row[0] for row in others] == ["stage2", "head"]  # frozen, but no neighbour


def test_a_sweep_leaves_rates_of_groups_out_and_keeps_their_optimizers():
    job, _ = make_job({"stem": 0.0, "stage1": 1.0, "stage2": 1.0, "head": 1.0})
    job.config.optimizer.groups.update({"head": {"lr": 1e-4, "name": "adamw", "schedule": "linear"}})
    swept = lr_sweep.job_of(job, {"head": 1.0}, [1e-6, 1e-3, 1.0]).config.optimizer
    found = group_settings.of(swept, "head")
    assert (found.name, found.lr, found.schedule, found.own_lr) == ("adamw", 1e-6, "exponential", False)
