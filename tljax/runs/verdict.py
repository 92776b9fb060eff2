"""Who won a comparison, and how sure: one sentence. The winner is chosen on the validation part alone."""

from collections.abc import Sequence

from tljax.core.untrusted import Record
from tljax.reporting.significance import ALPHA


def sentence(table: Sequence[Record]) -> str:
    """The conclusion from a table of `comparison.rows`. A row is `waiting` if one of its runs was not begun."""
    rows = [row for row in table if row["values"]]
    waiting = sum(row.get("waiting", False) for row in table)
    left = f" {waiting} of {len(table)} rows have runs that were not begun, for the time was up." if waiting else ""
    if not rows:
        return f"Nobody won: no run has finished.{left}"
    if len(rows) == 1:
        return f"Nobody won: one row, '{rows[0]['called']}', has finished, with {_reached(rows[0])}.{left}"
    winner = next((row for row in rows if row["chosen"]), None)
    if winner is None:
        highest = next(row for row in rows if row["best"])["called"]
        return (
            f"Nobody won: without a validation part nothing may be chosen; config.data.validation=0.1 holds one out. "
            f"The highest on the test part, which flatters it, is '{highest}'.{left}"
        )
    others = sorted((row for row in rows if row is not winner), key=_validation, reverse=True)
    return (
        f"'{winner['called']}' won, chosen on the validation part ({100 * winner['validation']:.2f} %, next "
        f"'{others[0]['called']}' {100 * _validation(others[0]):.2f} %), with {_reached(winner)}; "
        f"{_sure(winner, others)}.{left}"
    )


def _validation(row: Record) -> float:
    return row["validation"] if row["validation"] is not None else float("-inf")


def _reached(row: Record) -> str:
    ends = row["test_size"] or row["interval"]
    between = f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
    return f"test {row['metric']} {100 * row['mean']:.2f} %{between} of {row['examples']:,} examples"


def _sure(winner: Record, others: Sequence[Record]) -> str:
    """Whether the test part tells the winner from the others, by p corrected for how many they are."""
    known = [row for row in others if row.get("p_to_chosen") is not None]
    if not known:
        return "how sure that is cannot be said: run more seeds"
    alike = [row["called"] for row in known if row["p_to_chosen"] >= ALPHA]
    ahead = [row["called"] for row in known if row["p_to_chosen"] < ALPHA and row["mean"] > winner["mean"]]
    seeds = len(winner["values"])
    of = f"{seeds} {'seeds' if seeds > 1 else 'seed'} and this test part"
    if ahead:
        return f"but on the test part {_names(ahead)} is surely higher: validation chose wrongly"
    if not alike:
        return f"that is sure: every other row is lower there, p < {ALPHA} after correction, by {of}"
    return f"that is not sure: {of} cannot tell it from {_names(alike)}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
