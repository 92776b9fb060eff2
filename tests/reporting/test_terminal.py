"""Where there is no terminal: a line now and then, and tables that lose nothing."""

import time

import pytest
from rich.console import Console

from tljax.reporting import terminal
from tljax.reporting.terminal import Screen, show


def test_a_line_now_and_then_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "PLAIN_LINES_EVERY", 5.0)
    clock = iter([100.0, 104.0, 106.0, 106.0, 107.0])  # made; looked at; looked at, and noted; looked at
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    plain = Screen()
    with plain.bar(0, 9):
        for step in (1, 2, 3):
            plain.draw(step, f"loss {step}.0")
    assert capsys.readouterr().out.splitlines() == ["step 2/9 loss 2.0"]


def test_lines_are_printed_as_they_are(capsys):
    Screen().say("weights [bold]not markup[/bold] " + "x" * 300)
    assert capsys.readouterr().out == "weights [bold]not markup[/bold] " + "x" * 300 + "\n"


@pytest.mark.parametrize("width", [20, 200])
def test_a_table_loses_no_digit(capsys, width):
    show("title", ("name", "number"), [["full", "0.123456789012345678901234567890"]], console=Console(width=width))
    digits = "".join(c for c in capsys.readouterr().out if c.isdigit())
    assert digits == "0123456789012345678901234567890"
