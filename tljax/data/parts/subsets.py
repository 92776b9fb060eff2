"""The examples of one part: positions in a split of the data set, with their labels."""

import dataclasses

import numpy as np

from tljax.core.types import CountsPixels, Info, Record, Split
from tljax.data.parts import groups

UNKNOWN = Info((), "")  # the info of examples whose labels are classes


@dataclasses.dataclass(frozen=True)
class Subset:
    """Some examples of a split, with labels 0..K-1 of the chosen classes; or with numbers, or sets of labels.

    Maps and boxes are loaded with each example.
    """

    split: Split
    indices: np.ndarray  # (N,) positions in the split
    labels: np.ndarray | None  # (N,) int32; numbers (N, T); sets (N, K) bool; None: maps or boxes
    groups: np.ndarray | None = None  # (N,) str: the group of each, if `data.group` is set
    info: Info = UNKNOWN  # of the data set, with the kind of labels

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Record:
        example = self.split[int(self.indices[index])]
        if self.labels is None:
            return example
        label = self.labels[index]
        return {**example, "label": int(label) if label.ndim == 0 else label}

    def name(self, index: int) -> str:
        """The name of an example for the user: its file or line, if it has one."""
        place, files = int(self.indices[index]), groups.files_of(self.split)
        return str(files[place]) if files else f"example {place}"

    @property
    def pixels(self) -> np.ndarray | None:
        """(N, K): the pixels of each class in each example, of maps whose source has counted them; else None."""
        return self.split.pixels[self.indices] if isinstance(self.split, CountsPixels) else None

    @property
    def strata(self) -> np.ndarray:
        """(N,) int32, for stratified sampling: the class of each example; all 0 if labels are not classes."""
        if self.labels is not None and self.labels.ndim == 1:
            return self.labels
        return np.zeros(len(self), np.int32)

    @property
    def together(self) -> np.ndarray | None:
        """(N,) numbers of the groups; None if there are no groups."""
        return None if self.groups is None else np.unique(self.groups, return_inverse=True)[1].reshape(-1)

    def take(self, positions: np.ndarray) -> "Subset":
        labels, groups = (None if x is None else x[positions] for x in (self.labels, self.groups))
        return dataclasses.replace(self, indices=self.indices[positions], labels=labels, groups=groups)


class Joined:
    """Several splits one after another."""

    def __init__(self, splits: list[Split]) -> None:
        labels = [split.labels for split in splits if split.labels is not None]
        self.labels = np.concatenate(labels) if len(labels) == len(splits) else None
        counted = [split.pixels for split in splits if isinstance(split, CountsPixels)]
        if counted and len(counted) == len(splits):  # else it does not count
            self.pixels = np.concatenate(counted)
        self._where = [(split, i) for split in splits for i in range(len(split))]
        files, known = [groups.files_of(split) for split in splits], [groups.known(split) for split in splits]
        self.files = [file for some in files for file in some] if all(files) else []
        self.groups = [one for some in known for one in some] if all(known) else []

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> Record:
        split, i = self._where[index]
        return split[i]
