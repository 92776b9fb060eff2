"""Print the config that a folder, a table or a config means, or what differs from the default; or write its file."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from tljax import cli
from tljax.core import atomic, settings
from tljax.core.untrusted import printable

USAGE = "tljax config [FOLDER | TABLE | CONFIG[:ROW]] [--diff] [-o FILE.py] [--lr 0.01 ...] [--config.KEY=VALUE ...]"
# A config of one's own, as it is written.
FILE = '''"""What differs from the default.

{notes}
"""

from configs import default
from tljax.core import config_tables

CHANGES = {{
{rows}}}


def get_config():
    config = default.get_config()
    for key, value in CHANGES.items():
        config_tables.put(config, key, value)
    return config
'''


def main(arguments: Sequence[str]) -> None:
    """`tljax config [FOLDER | TABLE | CONFIG[:ROW]] [--diff] [-o FILE.py]`: flags as of `tljax train`.

    Every key as the run would have it, "key = value" a line; with --diff those that differ from the default. -o writes
    those into a config of your own, which `tljax train FILE.py` runs.

    Raises:
      TljaxError: as of `tljax train`.
    """
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--diff", action="store_true")
    own.add_argument("-o", "--out", type=Path)
    options, rest = own.parse_known_args(arguments)
    asked = cli.read(rest, usage=USAGE)
    config, left = settings.resolve(asked.given.config)
    changed = settings.changed(config)
    for note in (*asked.given.notes, *left):
        print(printable(f"# {note}"))
    for key, value in (changed if options.diff else settings.as_flat(config)).items():
        print(printable(f"{key} = {value!r}"))
    if options.out:
        atomic.write(options.out, as_file(changed, asked.given.notes))
        print(printable(f"# written: tljax train {options.out}"))


def as_file(changed: Mapping[str, object], notes: Sequence[str]) -> str:
    """The Python file of a config that differs so from the default."""
    said = "\n".join(note.replace("\\", "/").replace('"""', "'''") for note in notes)
    rows = "".join(f"    {key!r}: {value!r},\n" for key, value in changed.items())
    return FILE.format(notes=said or "Found out by nobody.", rows=rows)
