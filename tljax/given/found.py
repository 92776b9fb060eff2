"""What lies in the place that a person gave."""

import dataclasses
from collections.abc import Mapping

Value = str | int | float | bool | tuple[object, ...]
Changes = dict[str, Value]  # key of the config -> value


@dataclasses.dataclass(frozen=True)
class Found:
    """Examples, as the config's data section says where they are, and what was found out about them."""

    input: str  # "image" or "tokens", as families say it
    labels: str  # classes, numbers or sets
    changes: Changes  # where the examples are, and which part is which
    counts: Mapping[str, int]  # class -> examples among those that are learned from; {} where labels are no classes
    examples: int  # that are learned from, validation and test parts drawn from them included
    notes: tuple[str, ...]  # for people
