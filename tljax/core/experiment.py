"""An experiment: the examples, and the network that learns from them."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.core.layer_groups import Groups
from tljax.core.trees import flatten
from tljax.core.types import Card, Info, Name, Prepare, Published, Record, Rows, Variables, VariantLike

# Keys of `Experiment.fingerprints` and of a run's inputs.json; its other keys are the names of parts.
CLASSES = "classes"
COUNTS = "examples"  # part -> number of examples; earlier runs have none
WEIGHTS = "weights"  # the checksum of variables from published arrays; earlier runs have none
READ = "read"  # `Info.settled`
TEACHERS = "teachers"  # the checksum of what they answer, in a run that has some
FILES, CODE = "files", "code"  # in inputs.json alone: `stamps.files` and `stamps.code`
KEYS = (CLASSES, COUNTS, WEIGHTS, READ, TEACHERS, FILES, CODE)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The examples, and the network that learns from them."""

    info: Info
    task: Any  # a file in tasks/, or what its `from_training` made of the training part
    classes: Sequence[str]  # of the task, in the order of its labels
    parts: dict[str, Any]  # train, test, validation if there is one, targets, unlabelled -> `batches.Examples`
    augmented: bool  # whether training changes the inputs at random
    save_inputs: Callable[[Path], None]  # writes other files that predicting needs (a tokenizer) into a model/ folder
    published: Published | None  # the pretrained weights, under the family's names; None: from scratch
    card: Card
    variant: VariantLike  # a name in the family's table, or sizes of its own
    notes: Sequence[str]  # for the user: facts about the weights and inputs, and changes to them
    lists: Mapping[str, str]  # name -> content: files for the run folder, with findings about the inputs
    prepare: Prepare
    network: Any  # a `networks.network.Network`
    names: Sequence[Name]  # the family's name table
    variables: Variables  # the initial variables, on the host
    drawn: tuple[str, ...]  # the paths with random initial values
    groups: Groups
    beside: Rows = dataclasses.field(default_factory=dict)  # more of every training example: what teachers answer

    @property
    def stages(self) -> tuple[str, ...]:
        """The backbone's stages, input first."""
        return tuple(self.network.backbone.stages)

    @property
    def skipped(self) -> list[str]:
        """ "path: reason" of every example that was left out."""
        return [*self.info.skipped, *(row for part in self.parts.values() for row in part.skipped)]

    def fingerprints(self) -> Record:
        """Checksums of the examples of every part, of the weights and of what teachers answer; the numbers of examples;
        the classes; how the data were read, as far as the source found it out.
        """
        counts = {name: len(part) for name, part in self.parts.items()}
        checksums = {name: part.fingerprint() for name, part in self.parts.items()}
        facts: Record = {CLASSES: ", ".join(self.classes), COUNTS: counts, WEIGHTS: self._weights()}
        if self.info.settled:
            facts[READ] = dict(self.info.settled)
        if self.beside:
            answers = b"".join(self.beside[name].tobytes() for name in sorted(self.beside))
            facts[TEACHERS] = hashlib.sha256(answers).hexdigest()
        return checksums | facts

    def _weights(self) -> str:
        """sha256 of all variables from published arrays; "" if there are none."""
        if self.published is None:
            return ""
        digest, leaves = hashlib.sha256(), flatten(self.variables)
        for path in sorted({f"{row.collection}/{row.path}" for row in self.names if row.path not in self.drawn}):
            digest.update(path.encode() + np.ascontiguousarray(leaves[path]).tobytes())
        return digest.hexdigest()
