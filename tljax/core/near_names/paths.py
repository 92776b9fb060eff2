"""Files and folders that a path with a typing error may mean."""

import contextlib
import difflib
import re
from pathlib import Path

LEAST, MOST = 0.6, 3  # the least likeness, between 0 and 1, of a name that is said; the most names


def near(place: Path | str) -> str:
    """ " Near it there is 'My pictures'." for a path that does not exist; "" where nothing there has such a name."""
    path = Path(place).expanduser()
    while not path.parent.exists():
        path = path.parent
    if path.exists():
        return ""
    names: dict[str, str] = {}
    with contextlib.suppress(OSError):  # a folder that may not be read
        names = {_plain(entry.name): entry.name for entry in sorted(path.parent.iterdir()) if entry.name[0] != "."}
    matches = difflib.get_close_matches(_plain(path.name), names, n=MOST, cutoff=LEAST)
    known = [str(path.parent / names[one]) for one in matches]
    return f" Near it there is {' and '.join(map(repr, known))}." if known else ""


def _plain(name: str) -> str:
    """A name without what people forget: capitals, spaces and signs."""
    return re.sub(r"[\W_]+", "", name.lower()) or name
