"""Users' own optimizers: runs that are cut off end the same; evaluation is at the parameters that they name."""

import jax
import numpy as np
import optax
import pytest

from tests.training.test_train_loop import CutError, cut_at, everything, last_state, make_config  # noqa: F401
from tests.training.test_train_step import make_job, train
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.runs.run import run

OWN = "tests.training.own_optimizers"
RESUMED = ["noisy", "odd_state", "every_fourth", "slower_on_plateau", "free_of_schedules", "adversarial"]


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_cut_off_ends_the_same(tmp_path, cut_at, name):  # noqa: F811
    config = make_config(optimizer__name=f"{OWN}:{name}")
    cut_at(7)
    with pytest.raises(CutError):
        run(config, tmp_path / "cut")
    cut_at(0)
    for folder in ("cut", "whole"):
        run(config, tmp_path / folder)
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert last_state(tmp_path / "cut") == last_state(tmp_path / "whole")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer__name": f"{OWN}:ahead"}, "must take a tree of parameters"),
        ({"optimizer__name": f"{OWN}:number"}, "cannot follow a rate that changes"),
        ({"optimizer__schedule": f"{OWN}:with_if"}, f"schedule '{OWN}:with_if' must be written so that jax"),
        ({"optimizer__schedule": f"{OWN}:rate_of_its_own"}, "the largest of a run must lie in 0.5 to 2"),
    ],
)
def test_what_cannot_be_served_is_said_before_there_is_a_folder(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(make_config(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


SCALES = {"stem": 0.0, "stage1": 0.1, "stage2": 1.0, "head": 1.0}


def test_schedule_free_is_evaluated_at_x():
    job, start = make_job(SCALES, name="contrib.schedule_free_sgd")
    state, _ = train(job, start, steps=4)
    found, steps = flatten(job.variables(state)["params"]), flatten(state.params)
    inner = state.opt_state.inner_states["head"].inner_state
    x = optax.contrib.schedule_free_eval_params(inner, state.params | {"backbone": inner.z["backbone"]})
    assert found["head/kernel"].tobytes() == x["head"]["kernel"].tobytes() != steps["head/kernel"].tobytes()
    assert all(np.array_equal(found[path], steps[path]) for path in found if "/stem/" in path)
    assert job.changes and job.is_mean(1)


def test_sam_is_evaluated_where_it_came_from():
    job, start = make_job(SCALES, name=f"{OWN}:adversarial")
    away, _ = train(job, start, steps=1)  # at the adversarial parameters
    same = jax.tree.map(np.array_equal, job.variables(away)["params"], start.params)
    assert all(jax.tree.leaves(same)) and not np.array_equal(
        away.params["head"]["kernel"], start.params["head"]["kernel"]
    )
    back, _ = train(job, start, steps=2)
    assert job.variables(back)["params"]["head"]["kernel"].tobytes() == back.params["head"]["kernel"].tobytes()


def test_a_mean_of_what_is_not_evaluated_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must be 0 with 'contrib.schedule_free_sgd'"):
        run(make_config(optimizer__name="contrib.schedule_free_sgd", optimizer__ema=0.9), tmp_path / "run")
