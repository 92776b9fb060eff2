"""The protocol of writers, and all writers of a run together: each gets every number, the final ones too."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from tljax.core import plugins
from tljax.core.errors import ConfigError
from tljax.core.modules import Plugin
from tljax.core.untrusted import Json

ALWAYS = "jsonl"  # the log that resuming, curves and tables read
FINAL = "final "  # prefix of a part's name for the numbers of result.json, which are of the step that was kept


class Writer(Protocol):
    """A place for numbers; a file in tljax/reporting/writers/ is `Starts`."""

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """Take the numbers after `step` updates, on "train", "validation" or another part.

        A value may be infinite or NaN: some optimizers skip a step whose gradient is not finite.
        """
        ...

    def finish(self, result: Json) -> None:
        """Take the content of result.json: `final` gives its numbers."""
        ...

    def close(self) -> None:
        """Called once, also if the run ends with an error."""
        ...


@dataclasses.dataclass(frozen=True)
class About:
    """The run that a writer writes for."""

    folder: Path  # the run's folder
    config: Json  # plain values, nested as in configs/default.py
    step: int  # updates before this start of the run: numbers after this step will be written again
    say: Callable[[str], None]  # prints a line
    evaluated: bool = True  # whether the evaluation after `step` was done; else its numbers are written again too

    def keeps(self, step: int, part: str) -> bool:
        """Whether an earlier row stays, because it will not be written again."""
        before = step < self.step or (step == self.step and (self.evaluated or part == "train"))
        return before and not part.startswith(FINAL)

    @property
    def name(self) -> str:
        """The name for the user: the last two folders; in a suite these are the row and the seed."""
        return "-".join(self.folder.absolute().parts[-2:])


class Starts(Plugin, Protocol):
    """A file of `writers/`."""

    def start(self, about: About) -> Writer:
        """The writer of one run. What it raises ends the run before it trains."""
        ...


@runtime_checkable
class Loads(Protocol):
    """A file that writes with the package of others."""

    def load(self) -> object:
        """Import that package, before data are read; ImportError where it is not installed."""
        ...


class Writers:
    """The writers of a run. If one fails, the user is told and it gets no more numbers; metrics.jsonl must not fail."""

    def __init__(self, names: Iterable[str]) -> None:
        """Load the plugins `names`, and the writer of metrics.jsonl.

        Raises:
          ConfigError: there is no such plugin, or its package is not installed.
        """
        self._plugins = {name: _loaded(name) for name in dict.fromkeys((ALWAYS, *names))}
        self._open: dict[str, Writer] = {}
        self._say: Callable[[str], None] = print

    def start(self, about: About) -> None:
        """Raises ConfigError if a writer cannot start; at this point no result can be lost."""
        self.close()
        self._say = about.say
        for name, plugin in self._plugins.items():
            try:
                self._open[name] = plugin.start(about)
            except OSError:
                raise  # a full disk: `cli.guarded` says so
            except Exception as error:
                raise ConfigError(
                    f"The writer '{name}' must start, but fails: {type(error).__name__}: {error}. Correct this, or "
                    f"remove it from config.writers, which changes nothing else."
                ) from error

    @property
    def started(self) -> bool:
        return bool(self._open)

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """To every writer: see `Writer.scalars`."""
        self._each(lambda writer: writer.scalars(step, part, values))

    def finish(self, result: Json) -> None:
        """To every writer: see `Writer.finish`."""
        self._each(lambda writer: writer.finish(result))

    def close(self) -> None:
        """Close those that are open."""
        self._each(lambda writer: writer.close())
        self._open = {}

    def _each(self, what: Callable[[Writer], None]) -> None:
        for name, writer in list(self._open.items()):
            try:
                what(writer)
            except Exception as error:  # a server may not answer; hours of training must not fail because of it
                if name == ALWAYS:
                    raise
                del self._open[name]
                self._say(
                    f"the writer '{name}' fails and gets no more numbers ({type(error).__name__}: {error}); all "
                    f"are in metrics.jsonl"
                )


def final(result: Json) -> dict[str, dict[str, float]]:
    """ "final test" and so on -> the numbers of that part's final evaluation."""
    return {FINAL + part: dict(values) for part, values in result["metrics"].items()}


def named(part: str, values: Mapping[str, float]) -> dict[str, float]:
    """ "train/loss" and so on, as dashboards group them."""
    return {f"{part}/{name}": value for name, value in values.items()}


def _loaded(name: str) -> Starts:
    plugin: Starts = plugins.find("writers", name)
    try:
        plugin.load() if isinstance(plugin, Loads) else None
    except ImportError as error:
        raise ConfigError(
            f"config.writers names '{name}', whose package must be installed ({error}): pip install 'tljax[{name}]', "
            f"or leave it out."
        ) from error
    return plugin
