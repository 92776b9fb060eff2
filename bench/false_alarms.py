"""How often the paired test of `compare` calls two rows different that are not, at its 5 %: few seeds err more often.

python -m bench.false_alarms

Every test example has log odds of being right, shared by both rows; a row adds its own, a seed a shift of the whole
row, a run noise. Both rows are drawn alike, so a p below 0.05 is a false alarm.
"""

import numpy as np

from tljax.reporting import significance

EXAMPLES, REPEATS = 153, 4000


def share(seeds: int, spread: float, rng: np.random.Generator) -> float:
    """The share of false alarms, `spread` being the standard deviation of a seed's shift."""
    alarms = 0
    for _ in range(REPEATS):
        hard = rng.normal(2.0, 2.0, EXAMPLES)
        rows = [
            hard + rng.normal(size=EXAMPLES) + rng.normal(0.0, spread, (seeds, 1)) + rng.normal(size=(seeds, EXAMPLES))
            for _ in range(2)
        ]
        differences = (rows[0] > 0).astype(int) - (rows[1] > 0).astype(int)  # (S, N)
        alarms += significance.over_seeds_and_examples(differences).p < significance.ALPHA
    return alarms / REPEATS


if __name__ == "__main__":
    draw = np.random.default_rng(0)
    for number in (2, 3, 5):
        found = ", ".join(f"{share(number, spread, draw):.1%} (spread {spread:g})" for spread in (0.0, 0.5))
        print(f"{number} seeds, {EXAMPLES} examples, {REPEATS} repeats: {found}")
