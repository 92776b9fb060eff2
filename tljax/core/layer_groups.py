"""Groups of parameters, in order; every parameter is in exactly one. Freezing and learning rates apply to groups."""

import re
from collections.abc import Collection, Mapping, Sequence

from tljax.core import near_names
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.core.types import Params

Groups = dict[str, tuple[str, ...]]  # group -> paths of its parameters; groups in network order


def assign(params: Params, stages: Sequence[str], table: Mapping[str, str]) -> Groups:
    """Sort every parameter into the groups of `table`.

    Args:
      stages: the backbone's stages, input first.
      table: group -> words, each a stage ("stem"), a range of stages ("stem..stage2"), "head", or a
        regular expression that matches whole parameter paths ("backbone/.*/bias"). An empty table
        makes one group of every stage that has parameters and one of the head.

    Raises:
      ConfigError: a word matches nothing, or a parameter is in no group or in two; all are listed.
    """
    paths = tuple(flatten(params))
    stages = (*stages, "head")
    table = dict(table) or {stage: stage for stage in stages if any(stage_of(path) == stage for path in paths)}
    unmatched, members = [], {}
    for group, words in table.items():
        members[group] = set()
        for word in words.split():
            matched = chosen(word, paths, stages)
            members[group] |= matched
            unmatched += [] if matched else [f"{group}: {advice(word, stages)}"]
    homes = {path: [group for group in members if path in members[group]] for path in paths}
    _raise_problems(
        stages,
        unmatched,
        homeless=[path for path, groups in homes.items() if not groups],
        doubled=[f"{path} ({', '.join(groups)})" for path, groups in homes.items() if len(groups) > 1],
        empty=[group for group in table if not members[group]],
    )
    order = {path: i for i, path in enumerate(network_order(paths, stages))}
    sorted_members = {group: tuple(sorted(members[group], key=order.__getitem__)) for group in table}
    return dict(sorted(sorted_members.items(), key=lambda item: order[item[1][0]]))


def chosen(word: str, paths: Sequence[str], stages: Sequence[str], key: str = "config.groups") -> set[str]:
    """The paths that one word of `key` chooses: a stage, a range of stages or a pattern, as in `assign`."""
    try:
        pattern = re.compile(_pattern(word, stages))
    except re.error as error:
        raise ConfigError(f"{key} must hold stages or regular expressions; '{word}' is none: {error}.") from error
    return {path for path in paths if pattern.fullmatch(path)}


def between(stages: Sequence[str], start: str | None, stop: str | None) -> Sequence[str]:
    """The stages from `start` to `stop`, both included; None is the first, or the last."""
    first = 0 if start is None else stages.index(start)
    last = len(stages) if stop is None else stages.index(stop) + 1
    return stages[first:last]


def stages_of(words: str, stages: Sequence[str], key: str) -> tuple[str, ...]:
    """The stages that `words` of `key` choose; a word is a stage, a range ("stem..stage2") or "all".

    Raises:
      ConfigError: a word is none of these.
    """
    chosen_stages, unknown = set(), []
    for word in words.split():
        first, dots, last = word.partition("..")
        last = last if dots else first
        if word == "all":
            chosen_stages.update(stages)
        elif first in stages and last in stages:
            chosen_stages.update(between(stages, first, last))
        else:
            unknown.append(word)
    if unknown:
        raise ConfigError(
            f"{key} must hold stages, ranges of them (first..last) or all; got {', '.join(unknown)}. "
            f"The stages are {', '.join(stages)}."
        )
    return tuple(stage for stage in stages if stage in chosen_stages)


def stage_of(path: str) -> str:
    """The stage of a parameter: "stem" for "backbone/stem/conv/kernel", "head" for "head/bias".

    A parameter that a strategy adds has the stage of the backbone's parameter: "stem" for "lora/stem/conv/kernel/a".
    A parameter of an adaptation ("domain/layer0/kernel") is in no stage: the result is "domain".
    """
    parts = path.split("/")
    return parts[0] if parts[0] in ("head", "domain") else parts[1]


def head(groups: Groups) -> str:
    """The group that holds the head and nothing else.

    Raises:
      ConfigError: there is no such group.
    """
    last = list(groups)[-1]
    inside = [path for path in groups[last] if path.startswith("head/")]
    outside = [path for group in groups for path in groups[group] if path.startswith("head/") and group != last]
    if outside or len(inside) < len(groups[last]):
        raise ConfigError(
            f"This strategy needs the head in a group of its own, as in config.groups.head=head; "
            f"the groups are {', '.join(groups)}."
        )
    return last


def carve(groups: Groups, name: str, paths: Collection[str]) -> Groups:
    """Split the backbone's groups: those of `paths` that were in "stage1" go to a new group "stage1_<name>" after it.

    A group whose parameters are all in `paths` keeps its name. The group of the head is never split.

    Raises:
      ConfigError: no parameter is in `paths`, a new name is taken, or the head has no group of its own.
    """
    last, carved = head(groups), {}
    for group, members in groups.items():
        ours = tuple(path for path in members if path in paths and group != last)
        rest = tuple(path for path in members if path not in ours)
        carved[group] = rest or ours
        if ours and rest:
            if f"{group}_{name}" in groups:
                raise ConfigError(f"This strategy makes a group '{group}_{name}'; give yours in config.groups another.")
            carved[f"{group}_{name}"] = ours
    if not any(path in paths for group, members in groups.items() if group != last for path in members):
        raise ConfigError(
            f"This strategy learns the backbone's {name}, and this network has none. "
            f"Choose another config.strategy.name."
        )
    return carved


def norms(groups: Groups) -> frozenset[str]:
    """The paths of normalisation: every module's scale, and its bias (shift) if it has one."""
    paths = [path for members in groups.values() for path in members]
    modules = {path.removesuffix("/scale") for path in paths if path.endswith("/scale")}
    return frozenset(f"{module}/{leaf}" for module in modules for leaf in ("scale", "bias")).intersection(paths)


def frozen_modules(groups: Groups, learning: Sequence[str], moving: Sequence[str] = ()) -> frozenset[str]:
    """The paths for `Mode.frozen` when only the groups in `learning` learn.

    A module is frozen if all parameters at or below it are frozen, and also those that a strategy adds to them (as
    "lora/stem/conv/kernel/a" to "backbone/stem/conv/kernel"). Only the topmost such paths are returned. Groups in
    `moving` do not learn, but their BatchNorm statistics are updated.

    Raises:
      ConfigError: `moving` names a group that does not exist.
    """
    check_moving(groups, moving)
    awake = {_in_network(path) for group in (*learning, *moving) for path in groups[group]}
    paths = {_in_network(path) for members in groups.values() for path in members}
    prefixes = {"/".join(path.split("/")[:end]) for path in paths for end in range(1, path.count("/") + 1)}
    still = {p for p in prefixes if not any(path.startswith(f"{p}/") for path in awake)}
    return frozenset(p for p in still if p.rpartition("/")[0] not in still)


def _in_network(path: str) -> str:
    """The path of a parameter in the network; for one that a strategy adds, the path of the parameter it adds to."""
    first, _, rest = path.partition("/")
    return path if first in ("backbone", "head", "domain") else f"backbone/{rest}"


def check_moving(groups: Groups, moving: Sequence[str]) -> None:
    """Raise ConfigError if `moving` (config.strategy.moving_statistics) names a group that does not exist."""
    if unknown := [group for group in moving if group not in groups]:
        raise ConfigError(
            f"config.strategy.moving_statistics must name groups ({', '.join(groups)}); got {', '.join(unknown)}."
        )


def network_order(paths: Sequence[str], stages: Sequence[str]) -> list[str]:
    """The paths sorted by stage, input first; paths in no stage of `stages` come last."""
    rank = {stage: i for i, stage in enumerate(stages)}
    return sorted(paths, key=lambda path: rank.get(stage_of(path), len(rank)))


def _pattern(word: str, stages: Sequence[str]) -> str:
    first, dots, last = word.partition("..")
    if dots and first in stages and last in stages:
        chosen = between(stages, first, last)
    else:
        chosen = [stage for stage in stages if stage == word]
    whole = [f"{stage}/.*" if stage == "head" else f"backbone/{stage}/.*" for stage in chosen]
    return "|".join(whole) or word


def advice(word: str, stages: Sequence[str]) -> str:
    """The error text for a word that matches nothing."""
    close = near_names.by_letters(word, stages)
    return f"'{word}' matches no parameter" + (f" (did you mean '{close}'?)" if close else "")


def _raise_problems(
    stages: Sequence[str], unmatched: list[str], *, homeless: list[str], doubled: list[str], empty: list[str]
) -> None:
    problems = {
        "matching nothing": unmatched,
        "groups without a parameter": [group for group in empty if not any(group in text for text in unmatched)],
        "parameters in no group": homeless,
        "parameters in two groups": doubled,
    }
    if any(problems.values()):
        lines = [f"  {problem}: {', '.join(names)}" for problem, names in problems.items() if names]
        raise ConfigError(
            "config.groups must put every parameter in exactly one group:\n"
            + "\n".join(lines)
            + f"\nThe stages are {', '.join(stages)}; a group is stages, ranges (stem..stage2) or path patterns."
        )
