"""predictions.csv: a row an example, whatever its name holds."""

import csv

import numpy as np

from tljax.reporting import records


def test_names_numbers_and_texts_come_back(tmp_path):
    columns = {
        "name": ["a, b.png", 'q"uote.png'],
        "text": ["two\nlines", "red \x1b[31m"],
        "p(ant)": np.float32([1 / 3, 1]),
    }
    records.save(tmp_path / "p.csv", columns)
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as lines:
        assert list(csv.reader(lines)) == [
            ["example", "name", "text", "p(ant)"],
            ["0", "a, b.png", "two\nlines", "0.333333"],
            ["1", 'q"uote.png', "red \\x1b[31m", "1.000000"],
        ]
