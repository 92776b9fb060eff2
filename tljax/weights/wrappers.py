"""Weights whose names have the prefix of a wrapper: "module.", "_orig_mod.module.", "backbone." beside a custom
classifier, "model." beside a criterion, or "student." and "teacher." in one file.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from tljax.core import layer_groups, plugins
from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Name, Published
from tljax.weights import published_heads, translation

SHARE = 0.2  # a prefix may hold a network if it holds this share of the names; a file may hold several copies
STAGES = 3  # this many stages must show: the names of one block may be those of another network's first stage
SHOWN = 3  # names in a note


def taken_off(published: Published, families: Sequence[str], prefix: str = "") -> tuple[Published, tuple[str, ...]]:
    """The tensors of the one network in the file without the wrapper's prefix, and notes for the user.

    A file without a wrapper is returned unchanged. If `families` has one entry, a classifier beside the network gets
    this family's names.

    Args:
      families: the families that the network may belong to.
      prefix: the prefix of the network's names, if the file holds several networks; "": find it.

    Raises:
      WeightsError: the file holds several networks, or none under `prefix`.
    """
    names = frozenset(published.arrays)
    prefixes = [prefix.removesuffix(".") + "."] if prefix else _prefixes(names, families)
    if len(prefixes) > 1:
        raise WeightsError(
            f"'{published.where}' must hold one network; it holds {len(prefixes)}, whose names begin with "
            f"{' and '.join(map(repr, prefixes))}. Choose one: --config.model.prefix={prefixes[0]} (of `tljax zoo "
            f"check`, --prefix={prefixes[0]})."
        )
    if prefixes in ([], [""]):
        return published, ()
    (wrapper,) = prefixes
    theirs = {name.removeprefix(wrapper): name for name in sorted(names) if name.startswith(wrapper)}
    if not theirs:
        firsts = ", ".join(sorted({name.partition(".")[0] for name in names}))
        raise WeightsError(
            f"Names of tensors in '{published.where}' must begin with config.model.prefix; none begins with "
            f"'{wrapper}'. They begin with {firsts}."
        )
    beside = names - {*theirs.values()}
    head = _classifier(beside, frozenset(theirs), families[0], published.arrays) if len(families) == 1 else {}
    dense = published_heads.of(beside, published.arrays) if tuple(families) == ("resnet",) else None
    of_dense = published_heads.renamed(dense, beside) if dense else {}
    make = {ours: partial(published.arrays.__getitem__, name) for ours, name in {**theirs, **head}.items()}
    for ours, name in of_dense.items():
        make[ours] = partial(published_heads.read, ours, partial(published.arrays.__getitem__, name))
    notes = (f"names: without '{wrapper}', the prefix of {len(theirs)} of {len(names)} tensors",)
    if head:
        notes += (f"classifier: {', '.join(f'{name} as {ours}' for ours, name in head.items())}",)
    if dense:
        notes += (f"head: of {dense.name}, {len(of_dense)} tensors; config.model.keep_head=true begins with it",)
    if left := sorted(beside - {*head.values(), *of_dense.values()}):
        more = f", and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        notes += (f"left out, not part of the network: {', '.join(left[:SHOWN])}{more}",)
    config = {**published.config, **(dense.facts if dense else {})}
    return dataclasses.replace(published, arrays=Arrays(make), config=config), notes


def _prefixes(names: frozenset[str], families: Sequence[str]) -> list[str]:
    """The outermost prefixes that hold a network of `families`; [""] if the names have no prefix."""
    tables = {family: _rows(family) for family in families}
    if _recognised(names, tables)[0] >= translation.MOST:
        return [""]

    def search(inside: frozenset[str], before: str) -> Iterator[str]:
        groups: dict[str, set[str]] = {}
        for name in inside:
            first, dot, rest = name.partition(".")
            groups.setdefault(first, set()).update({rest} if dot else ())
        for first, rests in sorted(groups.items()):
            group, prefix = frozenset(rests), f"{before}{first}."
            if len(group) < SHARE * len(names):
                continue
            share, whole = _recognised(group, tables)
            yield from [prefix] if whole and share >= translation.MOST else search(group, prefix)

    return list(search(names, ""))


def _rows(family: str) -> dict[str, Name]:
    """Published name -> row, for all variants of a family."""
    module = plugins.find("families", family)
    return {row.published: row for variant in module.VARIANTS for row in module.names(variant)}


def _recognised(names: frozenset[str], tables: Mapping[str, Mapping[str, Name]]) -> tuple[float, bool]:
    """The largest share of the names that a family or a spelling of it knows, and whether `_spans` holds for it."""
    libraries = [plugins.find("spellings", name) for name in plugins.available("spellings")]
    spellings = [row for library in libraries for row in library.SPELLINGS]
    likeness = [(0.0, False)]
    for family, table in tables.items():
        own = translation.adapted(family, names) & table.keys()
        likeness.append((len(own) / max(1, len(names)), _spans(own, table, STAGES)))
        for spelling in (row for row in spellings if row.family == family):
            renamed = translation.renamed(names, spelling)
            share = len((names & table.keys()) | renamed.keys()) / max(1, len(names))
            # If tensors are arranged after they are renamed, names do not show all stages.
            likeness.append((share, _spans(renamed.values(), table, 1 if spelling.arrange else STAGES)))
    return max(likeness)


def _spans(names: Iterable[str | None], table: Mapping[str, Name], stages: int) -> bool:
    """Whether the names include the family's first kernel, and tensors of at least `stages` stages."""
    rows = [table[name] for name in names if name is not None and name in table]
    first = next(row for row in table.values() if row.path.endswith(("kernel", "embedding")))
    return first in rows and len({layer_groups.stage_of(row.path) for row in rows} - {"head"}) >= stages


def _classifier(
    beside: frozenset[str], inside: frozenset[str], family: str, arrays: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """The family's name -> the file's name, for the classifier: the one dense layer beside the network, if any."""
    rows = {row.path: row for row in _rows(family).values() if row.path.startswith("head/")}
    kernel, bias = rows.get("head/kernel"), rows.get("head/bias")
    layers = [name.removesuffix("weight") for name in beside if name.endswith("weight")]
    pairs = [layer for layer in layers if f"{layer}bias" in beside and arrays[f"{layer}weight"].ndim == 2]
    if kernel is None or bias is None or kernel.published in inside or kernel.layout != "dense" or len(pairs) != 1:
        return {}
    return {kernel.published: f"{pairs[0]}weight", bias.published: f"{pairs[0]}bias"}
