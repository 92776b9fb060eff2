"""Calibration error on the test part before and after the temperature that a run kept, of finished runs.

python bench/calibration.py RUN...

Probabilities are those of report/test_predictions.csv, to six digits; before the temperature they are p^T over their
sum. ECE has 15 bins of equal width (Guo et al. 2017).
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

from tljax.reporting.measures import Outcome, calibration_error


def main(folders: list[str]) -> None:
    for folder in map(Path, folders):
        model = json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))
        with (folder / "report" / "test_predictions.csv").open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        classes, temperature = model["classes"], model["temperature"]
        labels = np.array([classes.index(row["label"]) for row in rows])
        after = np.array([[float(row[f"p({name})"]) for name in classes] for row in rows])
        before = np.maximum(after, 1e-7) ** temperature
        before /= before.sum(axis=1, keepdims=True)
        errors = [calibration_error(Outcome(classes, labels, p)) for p in (before, after)]
        accuracy = (after.argmax(axis=1) == labels).mean()
        print(
            f"{folder.name}: n {len(rows)}, accuracy {100 * accuracy:.1f} %, temperature {temperature:.3f}, "
            f"ECE {100 * errors[0]:.2f} % -> {100 * errors[1]:.2f} %"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
