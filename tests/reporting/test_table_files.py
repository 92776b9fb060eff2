"""Tables as LaTeX: what it would obey is printed, columns of numbers stand to the right."""

import pytest

from tljax.core.errors import ConfigError
from tljax.reporting import table_files


def test_latex_prints_what_it_would_obey(tmp_path):
    text = table_files.latex([("row", "a b", "p"), ("lr=1e-3_{x}", "50.0 to 60.1", "0.5"), (r"50 % & #\^~$", "-", "-")])
    assert r"\begin{tabular}{lrr}" in text
    assert r"lr=1e-3\_\{x\} & 50.0 to 60.1 & 0.5 \\" in text
    assert r"50 \% \& \#\textbackslash{}\textasciicircum{}\textasciitilde{}\$ & - & - \\" in text
    with pytest.raises(ConfigError, match=r"\.csv, \.tex, \.png, \.pdf, \.svg; got '.*x\.doc'"):
        table_files.save([("a",), ("b",)], tmp_path / "x.doc")
