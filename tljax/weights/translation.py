"""Find out which library named the tensors of a file, and rename them to the family's names."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

import numpy as np

from tljax.core import plugins
from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Json, Record, Rule, Spelling

SHOWN = 5  # names of each kind in an error
NEAR = 0.05  # an error names a family that knows at least this share of the names
MOST = 0.5  # a file belongs to a family if this share of its names is known


def recognise(names: Iterable[str], family: str, where: str) -> Spelling | None:
    """The spelling of a file whose tensors have these names; None for the family's own naming.

    It is the spelling that knows most of the names; if none knows more names than the family's own naming, None.

    Raises:
      WeightsError: the file belongs to another family, or to none; the error names the nearest, and differences.
    """
    names, own = frozenset(names), frozenset().union(*_tables(family).values())
    libraries = [plugins.find("spellings", name) for name in plugins.available("spellings")]
    rows = [row for library in libraries for row in library.SPELLINGS]
    counts = [(_known(row, names, own if row.family == family else frozenset()), row) for row in rows]
    known, best = max(counts, key=lambda count: count[0])
    if max(known, len(names & own)) < MOST * len(names):
        raise WeightsError(strange(names, where, family))
    if known <= len(names & own):
        return None
    if best.family != family:
        raise WeightsError(
            f"'{where}' holds a {best.family} as {best.library} names it ({known} of {len(names)} tensors), and "
            f"config.model.family is '{family}'. Set --config.model.family={best.family}, or choose another file."
        )
    return best


def translate(arrays: Mapping[str, np.ndarray], spelling: Spelling, where: str) -> Arrays:
    """The same tensors under the family's names; tensors that are one in the family are joined; unknown names stay.

    Raises:
      WeightsError: two tensors would get the same name.
    """
    by_name: dict[str, dict[int, tuple[str, Rule]]] = {}
    make: dict[str, Callable[[], np.ndarray]] = {}
    for theirs in arrays:
        match = _match(spelling, theirs)
        if match is None:
            make[theirs] = partial(arrays.__getitem__, theirs)
            continue
        rule, groups = match
        if rule.name is None:
            continue
        parts = by_name.setdefault(rule.name(*groups), {})
        if rule.part in parts:
            raise WeightsError(f"'{where}' must hold every tensor once; it holds {parts[rule.part][0]} and {theirs}.")
        parts[rule.part] = theirs, rule
    for ours, parts in by_name.items():
        make[ours] = partial(_joined, arrays, [parts[part] for part in sorted(parts)])
    found_arrays = Arrays(make)
    return spelling.arrange(found_arrays) if spelling.arrange else found_arrays


def renamed(names: Iterable[str], spelling: Spelling) -> dict[str, str | None]:
    """Name -> the family's name, for each name that a rule knows; None for a tensor that is left out."""
    matches = {name: match for name in names if (match := _match(spelling, name))}
    return {name: rule.name(*groups) if rule.name else None for name, (rule, groups) in matches.items()}


def facts(config: Json, spelling: Spelling, where: str) -> Record:
    """Fields of the family's Variant that tensors do not show, from the config beside the file.

    Raises:
      WeightsError: the config describes a network that the family does not build.
    """
    wrong = [
        f"{key} {config[key]!r} (must be {must!r})"
        for key, must in spelling.must.items()
        if config.get(key, must) != must
    ]
    if wrong:
        raise WeightsError(
            f"The config.json beside '{where}' describes a {spelling.family} that tljax does not build: "
            f"{', '.join(wrong)}. Choose other weights."
        )
    facts = {field: config.get(key, default) for field, (key, default) in spelling.facts.items()}
    facts |= spelling.told(config, where) if spelling.told else {}
    plain = {field: tuple(value) if isinstance(value, list) else value for field, value in facts.items()}
    return {field: value for field, value in plain.items() if value is not None}


def _known(spelling: Spelling, names: frozenset[str], own: frozenset[str]) -> int:
    """How many names the spelling knows; a library may share some of the family's own names."""
    return sum(name in own or _match(spelling, name) is not None for name in names)


def _match(spelling: Spelling, name: str) -> tuple[Rule, list[str | int]] | None:
    """The rule for `name`, and the groups of its pattern; numbers are int."""
    for rule in spelling.rules:
        if match := re.fullmatch(rule.pattern, name):
            return rule, [int(group) if group.isdigit() else group for group in match.groups()]
    return None


def _joined(arrays: Mapping[str, np.ndarray], parts: list[tuple[str, Rule]]) -> np.ndarray:
    pieces = [rule.change(arrays[name]) if rule.change else arrays[name] for name, rule in parts]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _tables(family: str) -> dict[str, frozenset[str]]:
    """Variant -> the published names of its tensors."""
    module = plugins.find("families", family)
    return {variant: frozenset(row.published for row in module.names(variant)) for variant in module.VARIANTS}


def strange(names: Iterable[str], where: str, family: str = "") -> str:
    """The error text for a file that fits no family, or not `family`: the nearest one, and the first differences."""
    names = frozenset(names)
    whose = f"config.model.family '{family}'" if family else "a family of tljax/networks/families/"
    rows = [row for name in plugins.available("spellings") for row in plugins.find("spellings", name).SPELLINGS]
    first = (
        f"'{where}' must hold the tensors of {whose}, in its own naming or that of "
        f"{', '.join(sorted({row.library for row in rows}))}, but it does not."
    )
    share, lines = max(_nearest(names), _nearest_spelling(names))
    if share < NEAR:
        return f"{first}\nNo family is near: none has {NEAR:.0%} of the names. Choose another file."
    name = "Set config.model.family to what the file holds" if family else "Name the --family if you know it"
    return "\n".join([first, *lines, f"{name}, or choose another file."])


def _nearest(names: frozenset[str]) -> tuple[float, list[str]]:
    """The share of names in common with the nearest variant in its own naming, and the lines that describe it."""
    tables = {(other, v): table for other in plugins.available("families") for v, table in _tables(other).items()}
    bare = _bare(names)
    shares = {
        (*key, file): len(file & table) / len(file | table)
        for key, table in tables.items()
        for file in (names, bare, adapted(key[0], names))
    }
    family, variant, file = max(shares, key=shares.__getitem__)
    share, table = shares[family, variant, file], tables[family, variant]
    differ = [*_first("missing", table - file), *_first("not in it", file - table)]
    colon = ":" if differ or file == bare != names else "."
    lines = [f"Nearest is family '{family}', variant '{variant}', with {share:.0%} of the names{colon}"]
    if file == bare != names:
        before = min(names).split(".")[0]
        lines.append(f"  every name begins with '{before}.': save the tensors without it")
    return share, [*lines, *differ]


def _nearest_spelling(names: frozenset[str]) -> tuple[float, list[str]]:
    """The same for the spelling that knows most of the names."""
    rows = [row for name in plugins.available("spellings") for row in plugins.find("spellings", name).SPELLINGS]
    best = max(rows, key=lambda row: _known(row, names, frozenset()))
    share = _known(best, names, frozenset()) / max(1, len(names))
    line = f"Nearest is family '{best.family}' as {best.library} names it, which knows {share:.0%} of the names:"
    return share, [line, *_first("unknown", {name for name in names if _match(best, name) is None})]


def _first(kind: str, names: Collection[str]) -> list[str]:
    """A line with the first names; [] if there are none."""
    shown = ", ".join(sorted(names)[:SHOWN]) + ", ..." * (len(names) > SHOWN)
    return [f"  {len(names)} {kind}: {shown}"] if names else []


def share(names: Iterable[str], family: str) -> float:
    """The share of a file's names that `family` has; for text encoders, after their `adapt`."""
    names, own = adapted(family, frozenset(names)), frozenset().union(*_tables(family).values())
    return len(names & own) / max(1, len(names))


def adapted(family: str, names: frozenset[str]) -> frozenset[str]:
    """The names after a text family's `adapt`; for picture families unchanged, because their `adapt` needs arrays."""
    module = plugins.find("families", family)
    return frozenset(module.adapt(dict.fromkeys(names))) if module.INPUT == "tokens" else names


def _bare(names: frozenset[str]) -> frozenset[str]:
    """The names without their common first part, such as the "module." of torch's wrappers."""
    firsts = {name.split(".", 1)[0] for name in names}
    return frozenset(name.partition(".")[2] for name in names) if len(firsts) == 1 else names
