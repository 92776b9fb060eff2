"""What stands on a terminal, at most 80 columns wide, and what in a pipe; tables that lose nothing."""

import io
import time

import pytest
from rich.console import Console

from tljax.reporting import terminal
from tljax.reporting.run_lines import next_lines
from tljax.reporting.terminal import Screen, show


def on_a_terminal(width=80, **more):
    """A screen whose terminal is kept as text."""
    screen = Screen()
    screen.console = Console(file=io.StringIO(), force_terminal=True, width=width, **more)
    return screen, screen.console.file


def test_a_line_now_and_then_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "PLAIN_LINES_EVERY", 5.0)
    plain = Screen()
    clock = iter([100.0, 100.0, 104.0, 106.0, 107.0])  # begun, and the last line; three that are asked for
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with plain.progress("step", 0, 9) as advance:
        for step in (1, 2, 3):
            advance(step, f"loss {step}.0")
    assert capsys.readouterr().out.splitlines() == ["step 2/9, 21 s left loss 2.0"]


def test_the_live_line_fits_80_columns():
    screen, out = on_a_terminal(color_system=None)
    on = terminal.within.set("[17/20] a_long_name_of_a_row seed 4")
    with screen.progress("step", 0, 123456) as advance:
        advance(12345, "loss 0.1234  best accuracy 0.9876")
        with screen.progress("features of validation", 0, 999) as inner:
            inner(500, "")
            screen._live.refresh()
    terminal.within.reset(on)
    lines = out.getvalue().replace("\r", "\n").split("\n")
    assert any("12345/123456" in line and "best accuracy 0.9876" in line for line in lines)
    assert any("500/999" in line for line in lines)
    plain = [line.replace("\x1b[?25l", "").replace("\x1b[?25h", "") for line in lines]
    assert max(len(line) for line in plain if "\x1b" not in line) <= 80


def test_colour_where_it_means_something(monkeypatch):
    screen, out = on_a_terminal(color_system="standard")
    screen.say("warning: few examples")
    screen.say("an ordinary line")
    warned, plain = out.getvalue().splitlines()
    assert "\x1b[33m" in warned and plain == "an ordinary line"
    monkeypatch.setenv("NO_COLOR", "1")
    screen, out = on_a_terminal()
    screen.say("warning: few examples")
    assert "\x1b[33m" not in out.getvalue()


def test_lines_are_printed_as_they_are(capsys):
    Screen().say("weights [bold]not markup[/bold] " + "x" * 300)
    assert capsys.readouterr().out == "weights [bold]not markup[/bold] " + "x" * 300 + "\n"


@pytest.mark.parametrize("width", [20, 200])
def test_a_table_loses_no_digit(capsys, width):
    show("title", ("name", "number"), [["full", "0.123456789012345678901234567890"]], console=Console(width=width))
    digits = "".join(c for c in capsys.readouterr().out if c.isdigit())
    assert digits == "0123456789012345678901234567890"


def test_a_narrow_terminal_shows_the_columns_that_matter_and_names_the_others(capsys):
    columns, row = ("row", "a", "b", "test %"), ["full", "x" * 30, "y" * 30, "95.00"]
    show("", columns, [row], console=Console(width=50), first=("row", "test %", "a"))
    out = capsys.readouterr().out
    assert "95.00" in out and "x" * 30 in out and "y" not in out.replace("by", "")
    assert "not shown here: b" in out
    show("", columns, [row], console=Console(width=120), first=("row", "test %", "a"))
    assert "y" * 30 in capsys.readouterr().out


def test_the_last_lines_say_how_sure_the_number_is_what_to_open_and_what_next(tmp_path):
    result = {"metric": "accuracy", "metrics": {"test": {"accuracy": 0.95, "examples": 100}}}
    folder = tmp_path / "my run"
    assert next_lines(result, folder) == [
        "  test accuracy 95.0 %, 95 % interval of 100 examples: 88.8 % to 97.8 %",
        f"next: tljax predict '{folder}' ...",
    ]
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "index.html").write_text("")
    assert f"page: {folder / 'report' / 'index.html'}" in next_lines(result, folder)
    numbers = {"r2": 0.5, "r2_low": -0.25, "r2_high": 0.75, "examples": 9}
    first = next_lines({"metric": "r2", "metrics": {"test": numbers}}, folder)[0]
    assert first == "  test r2 0.5000, 95 % interval of 9 examples: -0.2500 to 0.7500"
    assert next_lines({"metric": "AP", "metrics": {"test": {"AP": 0.5, "examples": 9}}}, folder)[0].startswith("page")
