"""A finished run, for the sections of its page."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.untrusted import Json
from tljax.reporting.measures import Outcome
from tljax.reporting.page.html import Content
from tljax.reporting.page.pictures import Picture, thumbnail
from tljax.reporting.temperatures import scaled
from tljax.reporting.terminal import Screen
from tljax.training.parallel import Parallel


@dataclasses.dataclass(frozen=True)
class Finished:
    """The results of a run, with its experiment and config."""

    folder: Path
    experiment: Experiment
    config: ConfigDict
    totals: Mapping[str, Content]  # part -> the sums of its evaluation, and what was kept of each example
    result: Json  # result.json
    devices: Parallel
    screen: Screen

    @property
    def full(self) -> bool:
        """Whether the page may compute: features, heat maps, baselines."""
        return self.config.report == "full"

    @property
    def temperature(self) -> float:
        return self.result["temperature"]

    @property
    def of_texts(self) -> bool:
        return find("families", self.config.model.family).INPUT == "tokens"

    def outcome(self, part: str, *, temperature: float | None = None) -> Outcome:
        """Labels and probabilities of every example of a part, if labels are classes.

        Args:
          temperature: default: the one that `predict` uses.
        """
        sums = self.totals[part]
        logits = scaled(sums["logits"], self.temperature if temperature is None else temperature)
        return Outcome(self.experiment.classes, np.asarray(sums["label"]), self.experiment.task.outputs(logits))

    @functools.cached_property
    def test(self) -> Outcome:
        return self.outcome("test")

    @functools.cached_property
    def log(self) -> list[Content]:
        """The rows of metrics.jsonl; none of a classifier that is fitted at once."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    @functools.cached_property
    def chart(self) -> Content | None:
        """The plan (`plan_rates.chart`); None of a classifier that is fitted at once."""
        file = self.folder / "report" / "plan.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    @property
    def chosen(self) -> bool:
        """Whether the epoch that is kept was chosen, and is not merely the last."""
        return any(row["part"] in ("validation", "unlabelled") for row in self.log)

    @property
    def epoch(self) -> float:
        """That is kept."""
        return self.result["step"] / self.per_epoch

    @property
    def reached(self) -> float:
        """Epochs that were trained: fewer than planned where time was up or training was stopped early."""
        return max((row["step"] for row in self.log), default=0) / self.per_epoch

    @property
    def stopped_early(self) -> bool:
        """Whether patience ended training: so many evaluations in a row were no better than the kept one."""
        patience = self.config.train.patience
        later = {row["step"] for row in self.log if row["part"] == "validation" and row["step"] > self.result["step"]}
        return 0 < patience <= len(later)

    @property
    def per_epoch(self) -> float:
        """Steps of an epoch."""
        return self.chart["steps"] / self.chart["epochs"] if self.chart else 1.0

    def name(self, part: str, position: int) -> str:
        """What people call an example: its file, without what all files have before it."""
        name, root = self.experiment.parts[part].subset.name(position), str(self.experiment.info.source)
        if not name.startswith(root) and name.startswith(beside := f"{Path(root).parent}/"):
            root = beside  # pictures beside the file that names them
        inside = name.removeprefix(root).lstrip("/") if root else name
        return f"{Path(root).name}{inside}" if inside.startswith(":") else inside  # a row of a table: file and line

    def text(self, part: str, position: int) -> str:
        """The text of an example, or both of a pair."""
        row = self.experiment.parts[part].subset[position]
        return f"{row['text']} ⇥ {row['pair']}" if row["pair"] else row["text"]

    def picture(self, part: str, position: int, alternative: str, **size: int) -> Picture:
        """The stored picture of an example, small."""
        image = self.experiment.parts[part].take(np.array([position]))["image"][0]
        return thumbnail(image, alternative, **size)

    def card(self, part: str, position: int, alternative: str, **size: int) -> Content:
        """An example as a page shows it: its name, and its picture or its text."""
        known = {"name": self.name(part, position), "text": "", "picture": None}
        if self.of_texts:
            return known | {"text": self.text(part, position)}
        return known | {"picture": self.picture(part, position, f"{known['name']}: {alternative}", **size)}
