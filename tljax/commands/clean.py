"""List the caches of what can be had again, or clear those named: features, tokens, xla, remote, or all."""

import argparse
from collections.abc import Sequence

from tljax.core import caches
from tljax.core.plugins import entry
from tljax.core.untrusted import printable
from tljax.reporting.terminal import show

COLUMNS = ("cache", "entries", "MiB", "folder")


def main(arguments: Sequence[str]) -> None:
    """`tljax clean` lists; `tljax clean KIND...` clears. Only files of tljax are removed; no run loses a result.

    Raises:
      ConfigError: there is no such cache.
    """
    parser = argparse.ArgumentParser(prog="tljax clean", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(caches.KINDS)}, or all; none: list them")
    asked = parser.parse_args(arguments).kinds
    known = {**{kind: (kind,) for kind in caches.KINDS}, "all": tuple(caches.KINDS)}
    kinds = dict.fromkeys(kind for one in asked for kind in entry(known, one, "KIND"))
    for kind in kinds:
        gone = caches.clear(kind)
        print(f"{kind}: {gone.entries:,} entries, {gone.bytes / 2**20:,.1f} MiB removed")
    if not kinds:
        rows = [(kind, f"{size.entries:,}", f"{size.bytes / 2**20:,.1f}", str(caches.folder(kind)))
                for kind, size in caches.sizes().items()]  # fmt: skip
        show("", COLUMNS, rows)
        print(printable(f"at most {caches.limit() / 2**30:g} GiB ($TLJAX_CACHE_GIB); tljax clean all removes them"))
