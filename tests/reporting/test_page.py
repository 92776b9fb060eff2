"""One file: what it holds is escaped, it is small enough to send, and the wheel carries its templates."""

import tomllib
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from tests import browser
from tljax.core.errors import ConfigError
from tljax.reporting.page import html, pictures, words

PAGE = Path(html.__file__).parent


def test_what_is_said_of_examples_is_text_and_nothing_else(tmp_path):
    html.save(tmp_path / "x.html", "base.html", {"title": "<script>alert(1)</script> \x1b[31m"})
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt; \\x1b[31m</title>" in text


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (10_792, "10.5 KiB"), (2**20, "1.0 MiB"), (3 * 2**30, "3.0 GiB")]
)
def test_bytes_have_a_unit_that_shows_them(count, said):
    assert html._size(count) == said


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("accuracy", 0.93821, "accuracy 93.8 %"),
        ("r2", -0.25, "R² -0.2500"),
        ("r2/price", 0.5, "R², price 0.5000"),
        ("mse", 1765.3098, "mean squared error 1,765"),
        ("mae", 29.0556, "mean absolute error 29.06"),
        ("f1_macro", 0.5, "macro F1 0.5000"),
        ("mse", 2e-5, "mean squared error 2e-05"),
        ("balanced_accuracy", 1, "balanced accuracy 1"),
    ],
)
def test_metrics_and_their_values_in_plain_words(name, found, said):
    assert f"{words.metric(name)} {words.value(found, name)}" == said


def test_a_page_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "LARGEST", 100)
    with pytest.raises(ConfigError, match=r"at most 100 bytes; this one has [\d,]+. Set config.report=short"):
        html.save(tmp_path / "x.html", "base.html", {"title": "x"})
    assert not list(tmp_path.iterdir())


def test_the_wheel_carries_all_that_is_no_module():
    said = tomllib.loads((PAGE.parents[2] / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "tljax"
    ]
    files = [file.relative_to(PAGE.parents[1]) for file in PAGE.rglob("*") if file.is_file() and file.suffix != ".py"]
    files = [file for file in files if "__pycache__" not in file.parts]
    assert files and all(any(PurePath(file).match(pattern) for pattern in said) for file in files)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_small_picture_is_enlarged_to_be_seen(channels):
    import base64
    import io

    picture = pictures.thumbnail(np.full((8, 4, channels), 255, np.uint8), "all white", 64)
    assert picture.alternative == "all white"
    kind, _, content = picture.source.partition(";base64,")
    seen = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == "data:image/webp" and seen.size == (32, 64) and np.asarray(seen.convert("L")).min() > 250


def test_the_browser_tells_of_errors_and_requests(tmp_path):
    """What the tests of pages look at is really seen."""
    (tmp_path / "bad.html").write_text(
        '<link rel="icon" href="data:,"><img src="http://127.0.0.1:9/x.png"><script>console.error("bad thing")</script>'
    )
    found = browser.open_page(tmp_path / "bad.html", tmp_path)
    assert any("bad thing" in line for line in found.console)
    assert found.requests == ["http://127.0.0.1:9/x.png"]
    assert len(found.silent_pictures) == 1
