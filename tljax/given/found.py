"""The examples that were found in the user's folder or table."""

import dataclasses
from collections.abc import Mapping

Value = str | int | float | bool | tuple[object, ...]
Changes = dict[str, Value]  # key of the config -> value


@dataclasses.dataclass(frozen=True)
class Found:
    """Examples: the keys of config.data that describe them, and findings about them."""

    input: str  # "image" or "tokens", as a family's `INPUT`
    labels: str  # classes, numbers, sets, maps or boxes
    changes: Changes  # the keys for the place and the parts of the examples
    counts: Mapping[str, int]  # class -> number of training examples; {} if labels are not classes
    examples: int  # number of training examples, including validation and test parts drawn from them
    notes: tuple[str, ...]  # for the user
    proportions: tuple[int, int] = (1, 1)  # height and width of most pictures, if labels are maps or boxes
