"""WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): the best network between a first one and a fine-tuned one.

    theta = (1 - alpha) theta_0 + alpha theta_1,  alpha in 0, 0.1, ..., 1

is measured on the validation part, which chooses alpha; of equal ones the smallest, nearest to the first network. The
test part is never used. Networks between the two are often better on other data than both ends, and as good on these.

The head is on the line too, so the first network must have a head that means something. Weights alone have none: their
head is random. A run whose head began from the names of classes (config.model.text_head) gives its own first network,
the zero-shot one of the paper. Otherwise the first network is a linear probe of the same weights (`linear_probe`, or
`classic` with a linear classifier), whose backbone is that of the weights.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from tljax.core.errors import DataError
from tljax.core.types import Variables
from tljax.serving import soup
from tljax.serving.saved_model import Model
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
            f"--recipe {RECIPE} needs one run whose head began from the names of classes, or two, the first network "
            f"and the fine-tuned one; got {len(runs)}: {', '.join(map(str, runs))}."
        )
    first, tuned = runs
    models = soup.loaded(runs)
    found = _best(models[first].variables, tuned, models[tuned])
    return found._replace(runs=(tuned, first), scores={first: found.line[0.0], tuned: found.line[1.0]})


def from_initial(variables: Variables, run: Path) -> Soup:
    """The best network on the line from the initial variables of a run to its own.

    Raises:
      DataError: the run began from no weights, or has no validation part.
    """
    return _best(variables, run, soup.loaded((run,))[run])


def _best(first: Variables, run: Path, model: Model) -> Soup:
    totals = soup.measured(run, model)
    line = {alpha: soup.best_metric(model, totals(between(first, model.variables, alpha))) for alpha in ALPHAS}
    alpha = chosen(line)
    found = soup.of(model, between(first, model.variables, alpha), (run,), {run: line[1.0]}, totals)
    return found._replace(alpha=alpha, line=line)


def chosen(line: dict[float, float]) -> float:
    """The alpha with the largest score; of several the smallest."""
    return max(sorted(line), key=lambda alpha: line[alpha])


def between(first: Variables, tuned: Variables, alpha: float) -> Variables:
    """Every array of (1 - alpha) first + alpha tuned, added up in float64; for 0 and 1 the ends themselves."""

    def of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        mixed = (1 - alpha) * np.asarray(x, np.float64) + alpha * np.asarray(y, np.float64)
        return mixed.astype(y.dtype)

    return jax.tree.map(of, first, tuned)
