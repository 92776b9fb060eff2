"""Grids and draws: every combination once, draws by seed within their ranges; and the sentence that says who won."""

import pytest

from tljax.core.errors import ConfigError
from tljax.runs import search, verdict


def test_a_grid_is_every_combination():
    axes = search.axes(["config.optimizer.lr=1e-3,1e-2", "data.flip=true,false,true"])
    assert search.grid(axes) == [
        ("optimizer.lr=1e-3", "data.flip=true"), ("optimizer.lr=1e-3", "data.flip=false"),
        ("optimizer.lr=1e-2", "data.flip=true"), ("optimizer.lr=1e-2", "data.flip=false"),
    ]  # fmt: skip
    assert search.axes(["task.mixup=(1,2),(3,4)"])[0].values == ("(1,2)", "(3,4)")


def test_draws_are_of_the_seed_and_within_their_range():
    axes = search.axes(["optimizer.lr=1e-4..1e-1", "strategy.rank=4,8"])
    rows = search.drawn(axes, 20, seed=1)
    assert rows == search.drawn(axes, 20, seed=1) != search.drawn(axes, 20, seed=2) and len(set(rows)) == 20
    rates = [float(row[0].partition("=")[2]) for row in rows]
    assert all(1e-4 <= rate <= 1e-1 for rate in rates) and sum(rate < 3e-3 for rate in rates) in range(5, 16)
    assert {row[1] for row in rows} == {"strategy.rank=4", "strategy.rank=8"}
    assert len(search.drawn(search.axes(["a=1,2"]), 9, seed=0)) == 2  # there are no more
    assert min(float(row[0][2:]) for row in search.drawn(search.axes(["a=-1..1"]), 9, seed=0)) < 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["optimizer.lr"], "must be KEY=VALUE,VALUE"),
        (["a=1", "a=2"], "every key once; twice: a."),
        (["a=2..1"], "the first the smaller; got 'a=2..1'"),
        (["a=1..2"], "A range has no end of values: name some of a"),
        ([f"{key}={','.join(map(str, range(11)))}" for key in "abc"], "makes 1,331 rows"),
    ],
)
def test_mistakes(words, said):
    with pytest.raises(ConfigError, match="--grid|A range") as error:
        search.grid(search.axes(words))
    assert said in str(error.value)


def row(name, mean, validation, *, p=None, chosen=False, best=False):
    return {
        "name": name, "called": name, "values": [mean], "mean": mean, "validation": validation, "metric": "accuracy",
        "test_size": (mean - 0.1, mean + 0.1), "interval": None, "examples": 100, "chosen": chosen, "best": best,
        "p_to_chosen": p,
    }  # fmt: skip


def test_the_winner_is_that_of_validation_and_how_sure_is_said():
    table = [row("a", 0.8, 0.9, chosen=True), row("b", 0.85, 0.7, p=0.3, best=True), row("c", 0.5, 0.6, p=0.001)]
    said = verdict.sentence(table)
    assert said.startswith(
        "'a' won, chosen on the validation part (90.00 %, next 'b' 70.00 %), with test accuracy 80.00 %"
    )
    assert said.endswith("that is not sure: 1 seed and this test part cannot tell it from 'b'.")
    table[1]["p_to_chosen"] = 0.01
    assert "on the test part 'b' is surely higher: validation chose wrongly" in verdict.sentence(table)
    table[1] |= {"mean": 0.7}
    assert "that is sure: every other row is lower there" in verdict.sentence(table)
    without = [row("a", 0.8, None, best=True), row("b", 0.7, None)]
    assert "without a validation part nothing may be chosen" in verdict.sentence(without)
    assert verdict.sentence([{"name": "a", "values": [], "waiting": True}]) == (
        "Nobody won: no run has finished. 1 of 1 rows have runs that were not begun, for the time was up."
    )
