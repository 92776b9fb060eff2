"""What a person sees while a run goes on: lines, tables, one live line on a terminal. rich honours NO_COLOR."""

import contextlib
import contextvars
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from tljax.core.remote import copies
from tljax.core.untrusted import printable

PLAIN_LINES_EVERY = 10.0  # seconds, where there is no terminal for a live line
STYLES = {"warning": "yellow", "result": "bold green", "error": "bold red"}  # what a line begins with
# Which of a suite's runs is on, "[3/20] full seed 1": it stands before the live line of each.
within: contextvars.ContextVar[str] = contextvars.ContextVar("within", default="")
Advance = Callable[[int, str], None]  # (how much is done, a message)


def number(value: float) -> str:
    """A number for people: four digits after the point; where these would say little, four that count."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e9 else f"{value:.4g}"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich would end the program with 1; `cli.guarded` decides instead


class Screen:
    """Standard output; where a suite puts that into a file, the live line is on standard error, for who watches."""

    def __init__(self) -> None:
        self.console = _Console(width=None if sys.stdout.isatty() else 120, highlight=False)
        self._live: Progress | None = None
        self.compile_seconds = 0.0  # in which XLA has compiled so far: see `compiling`

    def say(self, text: str) -> None:
        word = text.strip().partition(":")[0]
        self.console.print(printable(copies.named(text)), markup=False, soft_wrap=True, style=STYLES.get(word))

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, first: Sequence[str] = ()
    ) -> None:
        show(title, columns, rows, console=self.console, first=first)

    @contextlib.contextmanager
    def compiling(self, what: str) -> Iterator[None]:
        """Print that XLA compiles, and how long it took: the only long time without output."""
        began = time.monotonic()
        self.say(f"compiling {what} ...")
        yield
        took = time.monotonic() - began
        self.compile_seconds += took
        self.say(f"compiled {what} in {took:.1f} s")

    @contextlib.contextmanager
    def progress(self, what: str, done: int, total: int) -> Iterator[Advance]:
        """One live line of at most 80 columns: what is being done, how far it is, the time left, and a message.

        Without a terminal, a plain line is printed now and then. If a run ends with an error, the live line is removed.
        """
        screen = self.console if self.console.is_terminal else Console(stderr=True)
        if screen.is_terminal and done < total:
            with self._task(screen, what, done, total) as (bar, task):
                yield lambda number, said: bar.update(task, completed=number, description=said[:ROOM])
            return
        began, last = time.monotonic(), [time.monotonic()]

        def line(number: int, said: str) -> None:
            now = time.monotonic()
            if now - last[0] > PLAIN_LINES_EVERY:
                last[0] = now
                left = (now - began) / max(number - done, 1) * (total - number)
                self.say(f"{what} {number:,}/{total:,}, {left:.0f} s left {said}".rstrip())

        yield line

    @contextlib.contextmanager
    def _task(self, screen: Console, what: str, done: int, total: int) -> Iterator[tuple[Progress, TaskID]]:
        """A live line; while there is one already, a second below it."""
        name = printable(f"{prefix} {what}" if (prefix := within.get()) else what)[:22]
        if self._live:
            task = self._live.add_task("", total=total, completed=done, name=name)
            try:
                yield self._live, task
            finally:
                self._live.remove_task(task)
            return
        with Progress(*COLUMNS, console=screen, transient=screen is not self.console) as self._live:
            try:
                yield self._live, self._live.add_task("", total=total, completed=done, name=name)
            finally:
                self._live = None


ROOM = 36  # characters of the live line for what is said: 80 less name, numbers, bar and time


COLUMNS = (
    TextColumn("{task.fields[name]} {task.completed}/{task.total}", markup=False),
    BarColumn(bar_width=8),
    TimeRemainingColumn(compact=True),
    TextColumn("{task.description}", markup=False),
)


def show(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    console: Console | None = None,
    first: Sequence[str] = (),
) -> None:
    """Print a table.

    Args:
      first: the columns that matter most, in that order: where the console is too narrow for all, those that fit are
        shown, at least two, and the names of the others are said.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    visible, left = list(columns), [name for name in columns if name not in first]
    order = [*first, *left]
    wide = console.options.update(max_width=10_000)
    while first and len(visible) > 2:
        if console.measure(_table("", visible, columns, rows), options=wide).maximum <= console.width:
            break
        visible.remove(order.pop())
    console.print(_table(title, visible, columns, rows))
    if hidden := [name for name in columns if name not in visible]:
        console.print(f"  not shown here: {', '.join(hidden)}", markup=False, soft_wrap=True, style="dim")


def _table(title: str, visible: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in visible:
        table.add_column(column, overflow="fold")  # a narrow terminal must not lose a digit
    places = [list(columns).index(column) for column in visible]
    for row in rows:
        table.add_row(*(printable(row[place]) for place in places))
    return table
