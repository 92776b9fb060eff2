"""A finished run as a person holds it in Python: its folder, its result, and answers about new examples."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.core.errors import DataError
from tljax.core.remote import copies
from tljax.core.untrusted import Record
from tljax.runs import chosen_run, results
from tljax.serving import answers, questions, saved_model
from tljax.serving.predictor import Predictor


class Loaded:
    """The run in a folder; of a suite or a comparison, its best row by validation. The network is read once."""

    def __init__(self, folder: Path | str) -> None:
        """Raises DataError or WeightsError where there is no finished run."""
        self.folder, self.note = chosen_run.of(copies.local(str(folder)))
        self.model = saved_model.load(self.folder)
        self._predictor: Predictor | None = None

    def __repr__(self) -> str:
        return f"tljax.load({str(self.folder)!r})"

    @property
    def result(self) -> Record:
        """The content of result.json: metrics of every part, counts, seconds."""
        return results.read(self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.model.classes)

    def predict(self, asked: Sequence[Path | str] | Path | str) -> list[Record]:
        """What `tljax predict` says of pictures (files, folders), texts or tables, a dict each: its name, "prediction"
        and "p(<class>)" of every class; numbers, and labels that had a column each, under "<name> predicted".

        What the command says besides, as of texts that were cut, is a warning.

        Raises:
          DataError: what cannot be read; all are named.
        """
        places = [str(one) for one in ([asked] if isinstance(asked, Path | str) else asked)]
        found = questions.find(self.folder, self.model, places)
        predictor = self._predictor = self._predictor or Predictor(self.model)
        predictor.cut = 0
        data, faults = questions.reading(self.folder, self.model), list(found.faults)
        table = answers.Answers(self.model, questions.kind(self.model), data)
        for name, (_, answer) in zip(found.names, predictor.answers(found.asked), strict=True):
            if isinstance(answer, ValueError):
                faults.append(f"{name}: {answer}")
            else:
                table.add(name, answer)
        if faults:
            raise DataError(f"What is asked must be readable; {len(faults)} are not:\n  " + "\n  ".join(faults))
        for note in (*found.notes, *predictor.notes(len(found.asked))):
            warnings.warn(note, stacklevel=2)
        columns = {name: np.asarray(values).tolist() for name, values in table.columns.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
