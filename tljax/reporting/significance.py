"""Confidence intervals and paired tests of means and differences, over seeds and over test examples."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tljax.core.untrusted import Json

ALPHA = 0.05
SHARES = ("accuracy", "subset_accuracy")  # metrics that are a share, of examples where there are no tokens
ROUNDS, SEED = 500, 0  # of the bootstrap
ROUNDING = 1e-12  # metrics that differ by less are equal
# `Difference.test` -> its description for the user.
TESTS = {
    "seeds and examples": "runs and test examples are both samples: the variance of the mean difference is taken from "
    "the two-way layout seeds x examples (Hillis 2007, Statistics in Medicine 26:596, with its degrees of freedom); "
    "of rows that do not differ it calls 3 to 11 in 100 different at 2 seeds, 3 to 8 at 3, 4 to 6 at 5: more, the more "
    "seeds move a row (bench/false_alarms.py)",
    "McNemar": "one seed: the exact test on the examples that only one of the two gets right (McNemar 1947), which "
    "says nothing of other seeds",
    "t over seeds": "paired t over seeds, where the test parts differ between seeds or predictions are missing; "
    "overlapping parts make it too sure (Nadeau & Bengio 2003, Machine Learning 52:239)",
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference of a metric, its 95 % interval and its two-sided p."""

    value: float
    low: float
    high: float
    p: float
    test: str


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % t-interval of the mean of independent runs; None for one run."""
    if len(values) < 2:
        return None
    mean, half = float(np.mean(values)), _t(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - half, mean + half


def wilson(share: float, examples: int) -> tuple[float, float]:
    """The 95 % interval of a share of `examples` (Wilson 1927): the precision of one test part of this size."""
    z2 = _t(math.inf) ** 2 / examples
    half = math.sqrt(z2 * share * (1 - share) + z2**2 / 4)
    return (share + z2 / 2 - half) / (1 + z2), (share + z2 / 2 + half) / (1 + z2)


def ends(metric: str) -> tuple[str, str]:
    """What the ends of a metric's interval are called among the metrics of a part, if its task says them."""
    return f"{metric}_low", f"{metric}_high"


def of_part(metric: str, values: Json) -> tuple[float, float] | None:
    """The 95 % interval of a metric of one part: the task's own, else Wilson's of a share; None if there is none."""
    low, high = ends(metric)
    return (values[low], values[high]) if low in values else of_share(metric, values)


def of_share(metric: str, values: Json) -> tuple[float, float] | None:
    """The 95 % interval of a metric of one part, as `Task.summarize` gives them; None if it is not a share of examples.

    A share of hidden tokens is none: a text has many of them, and they are not independent.
    """
    return wilson(values[metric], values["examples"]) if metric in SHARES and "tokens" not in values else None


def bootstrap(metric: Callable[[np.ndarray], float], examples: int) -> tuple[float, float] | None:
    """The 95 % interval of a metric of one part by the bootstrap over its examples (Efron 1979), percentiles.

    Args:
      metric: the metric where every example counts as often as the given (N,) float64 says.

    Returns:
      None for one example.
    """
    if examples < 2:
        return None
    rng, even = np.random.default_rng(SEED), np.full(examples, 1 / examples)
    values = [metric(rng.multinomial(examples, even).astype(np.float64)) for _ in range(ROUNDS)]
    low, high = np.percentile(values, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    return float(low), float(high)


def over_seeds(differences: np.ndarray) -> Difference | None:
    """Paired t over (S,) differences, S at least 2; None if all are equal and not 0, because there is no spread."""
    seeds = len(differences)
    if np.ptp(differences) < ROUNDING < abs(differences[0]):
        return None
    return _difference(differences.mean(), differences.var(ddof=1) / seeds, seeds - 1, "t over seeds")


def over_seeds_and_examples(differences: np.ndarray) -> Difference:
    """(S, N) differences between two rows in -1, 0, 1; S seeds and N examples are both drawn at random.

    With mean squares A of seeds, B of examples and E of the rest, the variance of the mean is
    (A + max(B - E, 0)) / (S N), on (A + max(B - E, 0))^2 (S - 1) / A^2 degrees of freedom: Hillis 2007,
    for two treatments, seeds as readers and accuracy as the figure of merit. A is expected to be at least E. If it is
    less, both estimate the variance of the rest, and A is replaced by their mean, weighted by degrees of freedom, which
    are (S - 1) N together. Otherwise rows with equal differences for all seeds would always be called different.
    """
    seeds, examples = differences.shape
    mean, by_seed, by_example = differences.mean(), differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - by_seed[:, None] - by_example[None] + mean
    a = examples * by_seed.var(ddof=1)
    b = seeds * by_example.var(ddof=1)
    e = (rest**2).sum() / ((seeds - 1) * (examples - 1))
    of_a = seeds - 1  # its degrees of freedom
    if a < e and not math.isclose(a, e):
        a, of_a = (a + (examples - 1) * e) / examples, of_a * examples
    total = a + max(b - e, 0.0)
    freedom = total**2 * of_a / a**2 if a else math.inf
    return _difference(mean, total / (seeds * examples), freedom, "seeds and examples")


def mcnemar(differences: np.ndarray) -> Difference:
    """(N,) differences in -1, 0, 1 of one seed: the exact binomial test on those that are not 0."""
    from scipy import stats

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    p = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    wald = _difference(differences.mean(), differences.var(ddof=1) / len(differences), math.inf, "McNemar")
    return dataclasses.replace(wald, p=float(p))


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979): the k-th smallest of m, times m - k + 1, made non-decreasing."""
    order, corrected, highest = np.argsort(p), [0.0] * len(p), 0.0
    for k, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - k) * p[i]))
        corrected[i] = highest
    return corrected


def _difference(mean: float, variance: float, freedom: float, test: str) -> Difference:
    from scipy import stats

    value, error = float(mean), math.sqrt(variance)
    half = _t(freedom) * error
    p = 2 * float(stats.t.sf(abs(value) / error, freedom)) if error else float(value == 0)
    return Difference(value, value - half, value + half, p, test)


def _t(freedom: float) -> float:
    from scipy import stats  # here, because it takes a second, and what only checks keys needs none

    return float(stats.t.ppf(1 - ALPHA / 2, freedom))
