"""What a person sees while a run goes on: lines, tables, a bar on a terminal."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tljax.core.untrusted import printable

PLAIN_LINES_EVERY = 10.0  # seconds, where there is no terminal to draw a bar on


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich ends the program with 1; who started the run says what to do (`cli.guarded`)


class Screen:
    """Standard output; where a suite puts that into a file, the bar is on standard error, for who watches."""

    def __init__(self) -> None:
        self.console = _Console(width=None if sys.stdout.isatty() else 120, highlight=False)
        self._bar, self._steps, self._last_line = None, 0, time.monotonic()
        self.compile_seconds = 0.0  # in which XLA has compiled so far: see `compiling`

    def say(self, text: str) -> None:
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        show(title, columns, rows, console=self.console)

    @contextlib.contextmanager
    def compiling(self, what: str) -> Iterator[None]:
        """Say that XLA compiles, and how long it took: the only long silence of a run."""
        began = time.monotonic()
        self.say(f"compiling {what} ...")
        yield
        took = time.monotonic() - began
        self.compile_seconds += took
        self.say(f"compiled {what} in {took:.1f} s")

    @contextlib.contextmanager
    def bar(self, step: int, steps: int) -> Iterator[None]:
        """Draw a bar that `draw` moves, where there is a terminal; also taken down when a run ends with an error."""
        self._steps = steps
        screen = self.console if self.console.is_terminal else Console(stderr=True)
        if screen.is_terminal and step < steps:
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=screen, transient=screen is not self.console)
            self._bar.start()
            self._bar.add_task("", total=steps, completed=step)
        try:
            yield
        finally:
            if self._bar:
                self._bar.stop()
                self._bar = None

    def draw(self, step: int, summary: str) -> None:
        """Move the bar; without a terminal, print a line now and then."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=step, description=summary)
        elif time.monotonic() - self._last_line > PLAIN_LINES_EVERY:
            self._last_line = time.monotonic()
            self.say(f"step {step}/{self._steps} {summary}")


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, console: Console | None = None) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")  # a narrow terminal must not lose a digit
    for row in rows:
        table.add_row(*map(printable, row))
    (console or Console(width=None if sys.stdout.isatty() else 160, highlight=False)).print(table)
