"""`python -m tljax VERB ...`, also installed as `tljax`: a verb is a file in tljax/commands/."""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

import tljax

TOGETHER = ("train", "compare", "lr_find", "score")  # verbs in which all processes of a run compute
COMMANDS = Path(__file__).parent / "commands"
USAGE = """usage: tljax VERB [...]      tljax VERB --help      tljax --version
  --plugins FILE   your own Python file (or module) that a run folder needs; may be repeated
  --require KIND   gpu, tpu or cpu: stop if jax computes on another device"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code; without one, list them. Nothing heavy is imported for that."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        for file in sorted(COMMANDS.glob("[!_]*.py")):
            about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            print(f"  {file.stem:12s} {about.splitlines()[0]}")
        return 0
    if arguments[0] == "--version":
        print(f"tljax {tljax.__version__}")
        return 0
    from tljax.cli import guarded

    return guarded(lambda: _run(arguments), debug="--debug" in arguments)


def _run(arguments: list[str]) -> None:
    """Load the plugins of `--plugins`, and run the verb."""
    from tljax.cli import required
    from tljax.core import plugins
    from tljax.core.errors import ConfigError
    from tljax.core.processes import agreement, joining

    joining.join(arguments)  # before `required` touches a device
    arguments = required(arguments)
    if arguments[0] not in TOGETHER and not agreement.first():
        return  # process 0 is enough for it
    while "--plugins" in arguments:
        place = arguments.index("--plugins")
        if place + 1 == len(arguments):
            raise ConfigError("--plugins must be followed by a Python file or a module of your own.")
        plugins.give([arguments[place + 1]])
        del arguments[place : place + 2]
    plugins.find("commands", arguments[0]).main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
