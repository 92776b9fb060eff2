"""Which library named a file's tensors, and the same tensors under the names of the family they are of."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

import numpy as np

from tljax.core import plugins
from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Json, Record, Rule, Spelling

SHOWN = 5  # names of each kind in an error: the first tell a strange file
NEAR = 0.05  # of the names, from which a family is worth naming
MOST = 0.5  # of a file's names must be known, for it to be taken as a family's


def recognise(names: Iterable[str], family: str, where: str) -> Spelling | None:
    """The spelling of a file whose tensors have these names; None for the naming of `family` itself.

    The one that knows most of the names, and the family's own where none knows more.

    Raises:
      WeightsError: the file is of another family, or of none; the nearest one and the first differences are named.
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
    """The same tensors under the family's names, joined where it keeps several as one; unknown names stay.

    Raises:
      WeightsError: two tensors become one.
    """
    found: dict[str, dict[int, tuple[str, Rule]]] = {}
    make: dict[str, Callable[[], np.ndarray]] = {}
    for theirs in arrays:
        match = _match(spelling, theirs)
        if match is None:
            make[theirs] = partial(arrays.__getitem__, theirs)
            continue
        rule, groups = match
        if rule.name is None:
            continue
        parts = found.setdefault(rule.name(*groups), {})
        if rule.part in parts:
            raise WeightsError(f"'{where}' must hold every tensor once; it holds {parts[rule.part][0]} and {theirs}.")
        parts[rule.part] = theirs, rule
    for ours, parts in found.items():
        make[ours] = partial(_joined, arrays, [parts[part] for part in sorted(parts)])
    found_arrays = Arrays(make)
    return spelling.arrange(found_arrays) if spelling.arrange else found_arrays


def renamed(names: Iterable[str], spelling: Spelling) -> dict[str, str | None]:
    """The names that a rule of the spelling knows -> the family's name; None for a tensor that it leaves out."""
    matches = {name: match for name in names if (match := _match(spelling, name))}
    return {name: rule.name(*groups) if rule.name else None for name, (rule, groups) in matches.items()}


def facts(config: Json, spelling: Spelling, where: str) -> Record:
    """Fields of the family's Variant that tensors do not show, as the config beside the file has them.

    Raises:
      WeightsError: the config asks for what the family does not compute.
    """
    wrong = [
        f"{key} {config[key]!r} (must be {must!r})"
        for key, must in spelling.must.items()
        if config.get(key, must) != must
    ]
    if wrong:
        raise WeightsError(
            f"The config.json beside '{where}' describes a {spelling.family} that is not computed here: "
            f"{', '.join(wrong)}. Choose other weights."
        )
    found = {field: config.get(key, default) for field, (key, default) in spelling.facts.items()}
    found |= spelling.told(config, where) if spelling.told else {}
    plain = {field: tuple(value) if isinstance(value, list) else value for field, value in found.items()}
    return {field: value for field, value in plain.items() if value is not None}


def _known(spelling: Spelling, names: frozenset[str], own: frozenset[str]) -> int:
    """How many names the spelling knows; a library may name some of a family's tensors as the family itself."""
    return sum(name in own or _match(spelling, name) is not None for name in names)


def _match(spelling: Spelling, name: str) -> tuple[Rule, list[str | int]] | None:
    """The rule for `name` and the groups of its pattern, numbers as int."""
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
    """What to say of a file that fits no family, or not `family`: the nearest one, and the first differences."""
    names = frozenset(names)
    whose = f"config.model.family '{family}'" if family else "a family of tljax/networks/families/"
    rows = [row for name in plugins.available("spellings") for row in plugins.find("spellings", name).SPELLINGS]
    first = (
        f"'{where}' must hold the tensors of {whose}, in its own naming or that of "
        f"{', '.join(sorted({row.library for row in rows}))}; it does not."
    )
    share, lines = max(_nearest(names), _nearest_spelling(names))
    if share < NEAR:
        return f"{first}\nNone is near: no family has as much as {NEAR:.0%} of the names. Choose another file."
    name = "Set config.model.family to what the file holds" if family else "Name the --family if you know it"
    return "\n".join([first, *lines, f"{name}, or choose another file."])


def _nearest(names: frozenset[str]) -> tuple[float, list[str]]:
    """The variant whose own naming has most of the names in common: which share, and what to say of it."""
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
        lines.append(f"  '{before}.' stands before every one of them: save the tensors without it")
    return share, [*lines, *differ]


def _nearest_spelling(names: frozenset[str]) -> tuple[float, list[str]]:
    """The same of the spelling that knows most of the names."""
    rows = [row for name in plugins.available("spellings") for row in plugins.find("spellings", name).SPELLINGS]
    best = max(rows, key=lambda row: _known(row, names, frozenset()))
    share = _known(best, names, frozenset()) / max(1, len(names))
    line = f"Nearest is family '{best.family}' as {best.library} names it, which knows {share:.0%} of the names:"
    return share, [line, *_first("unknown", {name for name in names if _match(best, name) is None})]


def _first(kind: str, names: Collection[str]) -> list[str]:
    """A line that names the first of them; none where there are none."""
    shown = ", ".join(sorted(names)[:SHOWN]) + ", ..." * (len(names) > SHOWN)
    return [f"  {len(names)} {kind}: {shown}"] if names else []


def share(names: Iterable[str], family: str) -> float:
    """Of a file's tensors, the share that `family` names so, as its `adapt` spells them where they are texts'."""
    names, own = adapted(family, frozenset(names)), frozenset().union(*_tables(family).values())
    return len(names & own) / max(1, len(names))


def adapted(family: str, names: frozenset[str]) -> frozenset[str]:
    """The names as a text family spells them; those of pictures are not adapted, for that changes arrays."""
    module = plugins.find("families", family)
    return frozenset(module.adapt(dict.fromkeys(names))) if module.INPUT == "tokens" else names


def _bare(names: frozenset[str]) -> frozenset[str]:
    """The names without the first part that all have in common, as torch's wrappers put "module." before each."""
    firsts = {name.split(".", 1)[0] for name in names}
    return frozenset(name.partition(".")[2] for name in names) if len(firsts) == 1 else names
