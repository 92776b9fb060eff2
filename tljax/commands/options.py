"""Print the options of plugins: the keys of a config that belong to one strategy, task, data source or other."""

import argparse
from collections.abc import Sequence

from tljax.core import options, plugins
from tljax.reporting.terminal import show

SECTIONS = {kind: section for section, kinds in options.SECTIONS.items() for kind in kinds}
COLUMNS = ("key", "default", "what it does")


def main(arguments: Sequence[str]) -> None:
    """`tljax options [KIND [NAME]]`: KIND is strategies, tasks, adaptation, sources, inputs or families.

    Raises:
      ConfigError: there is no such kind or plugin.
    """
    parser = argparse.ArgumentParser(prog="tljax options", description=__doc__)
    parser.add_argument("kind", nargs="?", default="", help=", ".join(SECTIONS))
    parser.add_argument("name", nargs="?", default="", help="a plugin of that kind: its name, its file, or its module")
    asked = parser.parse_args(arguments)
    kinds = [plugins.entry({kind: kind for kind in SECTIONS}, asked.kind, "KIND")] if asked.kind else list(SECTIONS)
    for kind in kinds:
        for name in [asked.name] if asked.name else plugins.available(kind):
            plugin = plugins.find(kind, name)
            about = (plugin.__doc__ or "").strip().splitlines()[0]
            rows = [_row(f"config.{SECTIONS[kind]}.{key}", one) for key, one in options.of(plugin).items()]
            print(f"{kind} {plugins.name(plugin)}: {about}")
            if rows:
                show("", COLUMNS, rows)
            elif asked.name:
                print("  no options of its own")


def _row(key: str, option: options.Option) -> tuple[str, str, str]:
    rule = f" Must be {option.rule[0]}." if option.rule else ""
    return key, "an open table" if option.default == {} else repr(option.default), option.about + rule
