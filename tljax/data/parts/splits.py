"""Choose the examples for training, validation and test: by name or by shares, seeded and stratified by class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tljax.core import experiment
from tljax.core.errors import ConfigError, DataError
from tljax.core.types import IGNORED, Dataset, Info, Split
from tljax.data import labels
from tljax.data.parts import draws, groups
from tljax.data.parts.subsets import Joined, Subset

PARTS = ("train", "validation", "test")
LARGEST = 1e100  # the largest number as a label: sums of its square fit into a float64


class Parts(NamedTuple):
    """The result of `choose`."""

    parts: dict[str, Subset]
    classes: tuple[str, ...]  # their names, in the order of labels
    notes: tuple[str, ...]  # notes for the user on how examples were chosen


def used(names: Sequence[str], config: ConfigDict) -> list[str]:
    """The splits of a source that the config names; all if it names none of them.

    Other splits are not read: they may have no labels, or may not be splits at all.
    """
    names_used = {*config.targets, *config.unlabelled}
    names_used |= set(config.divide or names) if config.fractions else set(config.splits.values())
    return [name for name in names if name in names_used] or list(names)


def choose(dataset: Dataset, config: ConfigDict, seed: int) -> Parts:
    """The parts "train", "test" and, if the config has them, "validation" and `data.targets`; and names of classes.

    In this order: `data.classes` keeps some classes, and `data.half` a random half of them;
    `data.splits` names the source's splits, or `data.fractions` divides those of `data.divide`;
    `data.train_examples` keeps the first training examples, or random ones if the source is sorted by class;
    `data.validation` holds out a share of them; `data.examples_per_class` keeps some of the rest. Random choices are
    stratified by class and depend on `seed`. If labels are numbers or sets, they are not stratified, and no key that
    chooses by class may be set. `data.group` keeps groups in one part.

    Raises:
      ConfigError: shares or names do not fit.
      DataError: a part is empty, a class or label has too few examples, a number is not finite, or a group is in two
        parts.
    """
    _no_choice_by_class(dataset.info, config)
    classes = _half(_classes(dataset, config.classes), config.half, seed)
    number = {name: i for i, name in enumerate(dataset.info.classes)}
    numbers = [number[name] for name in classes]
    parts = _by_fractions(dataset, config, numbers, seed) if config.fractions else _by_name(dataset, config, numbers)
    notes = []
    if config.train_examples:
        parts["train"], how = _first(parts["train"], dataset.info, config.train_examples, seed)
        notes += [how]
    if config.validation:
        train = parts["train"]
        validation = draws.mask(train.strata, seed, 1, share=config.validation, groups=train.together)
        parts["validation"], parts["train"] = (
            train.take(np.flatnonzero(validation)),
            train.take(np.flatnonzero(~validation)),
        )
    if config.examples_per_class:
        chosen = draws.mask(parts["train"].strata, seed, 2, number=config.examples_per_class)
        parts["train"] = parts["train"].take(np.flatnonzero(chosen))
    _check_targets(dataset, config)
    targets = {name: _subset(dataset.splits[name], numbers, dataset.info, config) for name in config.targets}
    _check(parts | targets, classes, dataset.info.labels, config)
    if config.group:
        notes += [groups.tell({name: part.groups for name, part in (parts | targets).items()}, config.group)]
    return Parts({name: parts[name] for name in PARTS if name in parts} | targets, classes, tuple(notes))


def _first(train: Subset, info: Info, number: int, seed: int) -> tuple[Subset, str]:
    """(`number` training examples, a note on how they were chosen)."""
    if number > len(train):
        raise DataError(
            f"config.data.train_examples must be at most the {len(train)} training examples of "
            f"{info.source}; got {number}. Lower it, or set 0 for all."
        )
    if number < len(train) and train.labels is not None and draws.is_sorted(train.labels):
        drawn = draws.first_of_each(train.strata, number, seed)
        return train.take(drawn), (
            f"config.data.train_examples: {number} of {len(train)} drawn by seed, of every class its share: "
            f"the source is sorted by label, and its first ones would be of few classes"
        )
    how = f"config.data.train_examples: the first {number} of {len(train)}, in the order of the source"
    return train.take(np.arange(number)), how


def _classes(dataset: Dataset, wanted: Sequence[object]) -> tuple[str, ...]:
    known, there = dataset.info.classes, set(dataset.info.classes)
    wanted = tuple(str(name) for name in wanted) or known
    times = Counter(wanted)
    bad = [name for name in times if times[name] > 1 or name not in there]
    if bad:
        raise ConfigError(
            f"config.data.classes must be distinct names among {labels.cut(known)}; unknown or twice: "
            f"{labels.cut(bad)}."
        )
    return wanted


def _half(classes: tuple[str, ...], half: str, seed: int) -> tuple[str, ...]:
    """Half "a" or "b" of the classes, in their order, the same for every run with this seed; "" is all.

    If the number of classes is odd, "a" has one more.
    """
    if not half:
        return classes
    drawn = set(np.random.default_rng([seed, 5]).permutation(len(classes))[: -(-len(classes) // 2)].tolist())
    return tuple(name for i, name in enumerate(classes) if (i in drawn) == (half == "a"))


def _no_choice_by_class(info: Info, config: ConfigDict) -> None:
    chosen = {"classes": config.classes, "half": config.half, "examples_per_class": config.examples_per_class}
    wrong = [f"config.data.{key}={value!r}" for key, value in chosen.items() if value]
    if info.labels != "classes" and wrong:
        raise ConfigError(
            f"Examples can be chosen by class only where labels are classes; those of {info.source} are "
            f"{info.labels}. Take out {', '.join(wrong)}; config.data.train_examples keeps the first ones."
        )


def _subset(split: Split, numbers: list[int], info: Info, config: ConfigDict) -> Subset:
    values, names = np.asarray(split.labels), info.classes
    owners = groups.of(split, info.source, config)
    if info.labels == "none":
        return Subset(split, np.arange(len(split)), np.zeros(len(split), np.int32), owners)
    if info.loaded:
        if info.labels == "maps" and len(info.classes) > IGNORED:
            raise DataError(f"A label map holds at most {IGNORED} classes; {info.source} has {len(info.classes)}.")
        return Subset(split, np.arange(len(split)), None, owners, info)
    if info.labels != "classes":
        bad = np.flatnonzero(~(np.abs(values.astype(np.float64)) <= LARGEST).all(axis=1))
        if len(bad):
            listed = ", ".join(f"example {i}: {values[i].tolist()}" for i in bad[:10])
            raise DataError(
                f"Labels must be finite numbers up to {LARGEST:g}, whose squares can be summed; {len(bad)} are not: "
                f"{listed}. Correct them, or give them in a larger unit."
            )
        return Subset(split, np.arange(len(values)), values, owners)
    bad = np.flatnonzero((values < 0) | (values >= len(names)))
    if len(bad):
        listed = ", ".join(f"example {i}: {values[i]}" for i in bad[:10])
        raise DataError(f"Labels must be 0 to {len(names) - 1} ({len(names)} classes); {len(bad)} are not: {listed}.")
    indices = np.flatnonzero(np.isin(values, numbers))
    new = np.full(len(names), -1, np.int32)
    new[numbers] = np.arange(len(numbers))
    return Subset(split, indices, new[values[indices]], None if owners is None else owners[indices])


def _by_name(dataset: Dataset, config: ConfigDict, numbers: list[int]) -> dict[str, Subset]:
    named = {part: name for part, name in config.splits.items() if name}
    bad = [f"{part}='{name}'" for part, name in named.items() if name not in dataset.splits]
    bad += [f"{part}=''" for part in ("train", "test") if part not in named]
    bad = bad or [f"{part}='{name}'" for part, name in named.items() if list(named.values()).count(name) > 1]
    if bad:
        raise ConfigError(
            f"config.data.splits must name different splits of {dataset.info.source} "
            f"({', '.join((*dataset.splits, *dataset.info.unread))}), at least to train and to test on; "
            f"got {', '.join(bad)}. Or set config.data.fractions to divide all examples: "
            f"--config.data.fractions='(0.8, 0, 0.2)'."
        )
    return {part: _subset(dataset.splits[name], numbers, dataset.info, config) for part, name in named.items()}


def _by_fractions(dataset: Dataset, config: ConfigDict, numbers: list[int], seed: int) -> dict[str, Subset]:
    shares: dict[str, float] = dict(zip(PARTS, config.fractions, strict=True))
    divided = sorted(config.divide or dataset.splits)
    unknown = [name for name in divided if name not in dataset.splits]
    if unknown:
        raise ConfigError(
            f"config.data.divide must name splits of {dataset.info.source} ({', '.join(dataset.splits)}); "
            f"got {', '.join(unknown)}."
        )
    everything = _subset(Joined([dataset.splits[name] for name in divided]), numbers, dataset.info, config)
    test = draws.mask(everything.strata, seed, 3, share=shares["test"], groups=everything.together)
    rest = everything.take(np.flatnonzero(~test))
    validation = draws.mask(
        rest.strata, seed, 4, share=shares["validation"] / (1 - shares["test"]), groups=rest.together
    )
    parts = {
        "train": rest.take(np.flatnonzero(~validation)),
        "validation": rest.take(np.flatnonzero(validation)),
        "test": everything.take(np.flatnonzero(test)),
    }
    return {name: part for name, part in parts.items() if shares[name]}


def _check_targets(dataset: Dataset, config: ConfigDict) -> None:
    """Raise ConfigError unless targets are splits that are not used for another part."""
    used = set(config.divide or dataset.splits) if config.fractions else set(config.splits.values())
    bad = {
        "no split": [name for name in config.targets if name not in dataset.splits],
        "used for another part": [name for name in config.targets if name in used],
        "the name of a part": [name for name in config.targets if name in (*PARTS, *experiment.KEYS)],
        "named twice": [name for name in dict.fromkeys(config.targets) if list(config.targets).count(name) > 1],
    }
    if any(bad.values()):
        faults = "; ".join(f"{why}: {', '.join(names)}" for why, names in bad.items() if names)
        raise ConfigError(
            f"config.data.targets must name further splits of {dataset.info.source} ({', '.join(dataset.splits)}) "
            f"to evaluate on; {faults}."
        )


def _check(parts: Mapping[str, Subset], classes: tuple[str, ...], kind: str, config: ConfigDict) -> None:
    need, values = max(1, config.examples_per_class), parts["train"].labels
    if values is not None and kind == "classes":
        counts = np.bincount(values, minlength=len(classes))
    elif values is not None and kind == "sets":
        counts = values.sum(axis=0)
    else:  # numbers need no examples of each value; the classes in maps and boxes are not known yet
        counts = np.full(len(classes), need)
    short = [f"{name}: {count}" for name, count in zip(classes, counts, strict=True) if count < need]
    empty = [name for name in parts if not len(parts[name])]
    if short or empty:
        kind_of_label = "label" if kind == "sets" else "class"
        keys = {
            "examples_per_class": config.examples_per_class,
            "validation": config.validation,
            "fractions": config.fractions,
            "train_examples": config.train_examples,
            "group": config.group,
        }
        asked = [f"config.data.{key}" for key, value in keys.items() if value]
        raise DataError(
            f"Every {kind_of_label} must have at least {need} training example(s), and no part may be empty; "
            f"too few: {labels.cut(short) or 'none'}; empty parts: {', '.join(empty) or 'none'}. "
            + (f"Change {' or '.join(asked)}, or add examples." if asked else "Add examples.")
        )
    if kind == "classes" and len(classes) < 2:
        raise DataError(
            f"There must be two classes at least, for one to be told from another; there is {', '.join(classes)}. "
            f"Choose more with config.data.classes, or other examples."
        )
