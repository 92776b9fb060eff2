"""model/README.md: what the run measured, and no other number."""

import json
import re

from tests import small
from tljax.runs.run import run
from tljax.serving import model_card


def test_it_says_what_was_measured(tmp_path, monkeypatch):
    result = run(small.photographs(tmp_path / "pictures", monkeypatch), tmp_path / "run")
    text = (tmp_path / "run" / "model" / "README.md").read_text()
    value = result["metrics"]["test"]["accuracy"]
    assert re.search(rf"\| test \| 15 \| .*{value:.4f} \(95 %: 0\.\d+ to [01]\.\d+\)", text)
    assert "3 classes: ant, bee, fly." in text and "- weights at the start: random weights\n" in text
    assert f"in {result['step']:,} updates" in text and "tljax predict RUN PICTURES" in text


def test_a_metric_that_a_part_lacks_is_no_number(tmp_path, monkeypatch):
    run(small.photographs(tmp_path / "pictures", monkeypatch), tmp_path / "run")
    folder = tmp_path / "run"
    said = [json.loads((folder / name).read_text()) for name in ("result.json", "config.json")]
    said += [json.loads((folder / "model" / name).read_text()) for name in ("model.json", "card.json")]
    said[0]["metrics"]["other"] = {"accuracy": 1.0, "examples": 1000}
    said[2]["started_from"] = "owner/name"
    text = model_card.text(*said)
    assert "| other | 1,000 | - | 1.0000 (95 %: 0.996 to 1.000) |" in text
    assert "owner/name; their licence: not stated" in text
