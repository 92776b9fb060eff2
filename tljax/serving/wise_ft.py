"""WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): the best network between a first one and a fine-tuned one.

    theta = (1 - alpha) theta_0 + alpha theta_1,  alpha in 0, 0.1, ..., 1

is measured on the validation part, which chooses alpha; of equal ones the smallest, nearest to the first network. The
test part is never used. Networks between the two are often better on other data than both ends, and as good on these.

The head is on the line too, so the first network must have a head that means something. Weights alone have none: their
head is random. A linear probe of the same weights has one (`linear_probe`, or `classic` with a linear classifier), and
its backbone is that of the weights. The paper's first networks are zero-shot ones, or such probes (its appendix).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax.core.errors import DataError
from tljax.core.types import Variables
from tljax.serving import soup
from tljax.serving.soup import Soup

RECIPE = "wise_ft"
ALPHAS = tuple(i / 10 for i in range(11))


def make(runs: Sequence[Path]) -> Soup:
    """The best network on the line from the first of two runs to the second.

    Raises:
      DataError: there are not two runs, or they differ in network, classes, first weights or parts, or have no
        validation part.
    """
    if len(runs) != 2:
        raise DataError(
            f"--recipe {RECIPE} needs two runs, the first network and the fine-tuned one; got {len(runs)}: "
            f"{', '.join(map(str, runs))}. The weights alone cannot be the first: their head is random. Run "
            f"linear_probe from the same weights, with the same seed, and give: tljax soup PROBE TUNED."
        )
    first, tuned = runs
    models = soup.loaded(runs)
    model, totals = models[tuned], soup.measured(tuned, models[tuned])

    def at(alpha: float) -> Variables:
        return between(models[first].variables, models[tuned].variables, alpha)

    line = {alpha: soup.best_metric(model, totals(at(alpha))) for alpha in ALPHAS}
    alpha = chosen(line)
    scores = {first: line[0.0], tuned: line[1.0]}
    return soup.of(model, at(alpha), (tuned, first), scores, totals)._replace(alpha=alpha, line=line)


def chosen(line: dict[float, float]) -> float:
    """The alpha with the largest score; of several the smallest."""
    return max(sorted(line), key=lambda alpha: line[alpha])


def between(first: Variables, tuned: Variables, alpha: float) -> Variables:
    """Every array of (1 - alpha) first + alpha tuned, added up in float64; for 0 and 1 the ends themselves."""

    def of(x: Any, y: Any) -> np.ndarray:
        mixed = (1 - alpha) * np.asarray(x, np.float64) + alpha * np.asarray(y, np.float64)
        return mixed.astype(x.dtype)

    return jax.tree.map(of, first, tuned)
