"""A page as one file: filled templates, with pictures and scripts inside."""

import base64
import functools
import gzip
import importlib.resources
from pathlib import Path
from typing import Any

from tljax.core.atomic import make_folder, write
from tljax.core.errors import ConfigError
from tljax.core.untrusted import printable
from tljax.reporting.page import words

Content = dict[str, Any]  # name -> what a template shows there: texts, numbers, pictures, lists of such
UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
LARGEST = 6 * 2**20  # bytes; a page is sent by mail, and opened on a phone


def save(file: Path, template: str, content: Content) -> int:
    """Fill in a template, and write the page.

    Returns:
      The page's bytes.

    Raises:
      ConfigError: it is larger than `LARGEST`.
    """
    text = _environment().get_template(template).render(content)
    size = len(text.encode())
    if size > LARGEST:
        raise ConfigError(f"A page must be at most {LARGEST:,} bytes; this one has {size:,}. Set config.report=short.")
    make_folder(file.parent)
    write(file, text)
    return size


def plotly() -> str:
    """plotly.js, compressed, in base64: 2 MB instead of 4.8 MB; the page unpacks it when the map is opened."""
    import plotly.offline

    return base64.b64encode(gzip.compress(plotly.offline.get_plotlyjs().encode(), 9, mtime=0)).decode()


@functools.cache
def _environment() -> Any:
    import jinja2
    import markupsafe

    def include(name: str) -> Any:
        folder = importlib.resources.files("tljax.reporting.page") / "templates"
        return markupsafe.Markup((folder / name).read_text(encoding="utf-8"))

    loader = jinja2.PackageLoader("tljax.reporting.page", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["include_as_is"] = include
    environment.filters |= {
        "percent": _percent,
        "printable": printable,
        "commas": lambda x: f"{x:,}",
        "size": _size,
        "words": words.metric,
        "value": words.value,
        "number": words.number,
    }
    return environment


def _size(count: float) -> str:
    """A number of bytes in the largest unit of which there is at least one."""
    unit = next((name for name in ("GiB", "MiB", "KiB") if count >= UNITS[name]), "bytes")
    return f"{count:,.0f} bytes" if unit == "bytes" else f"{count / UNITS[unit]:,.1f} {unit}"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
