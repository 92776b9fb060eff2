"""Feature vectors in three dimensions, as a figure of plotly that can be turned: by class, or by right and wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.reporting import records
from tljax.reporting.page import html
from tljax.reporting.page.charts import RIGHT, WRONG

FILE = "map.csv"


def draw(
    rows: np.ndarray, labels: np.ndarray, said: np.ndarray, classes: Sequence[str], names: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Features (N, D) by their first three principal components, and `FILE` in `folder` with their places.

    Returns:
      "figure": JSON for plotly.js, "library": that, see `html.plotly`; "kept": the share of the variance that is seen;
      "examples": N.
    """
    from sklearn.decomposition import PCA

    size = min(3, *rows.shape)
    pca = PCA(size, random_state=0).fit(rows)
    places = np.pad(pca.transform(rows), ((0, 0), (0, 3 - size))).astype(np.float32)
    right = labels == said
    columns = {"name": list(names), "label": [classes[i] for i in labels], "prediction": [classes[i] for i in said]}
    records.save(folder / FILE, columns | dict(zip("xyz", places.T, strict=True)))
    return {
        "figure": _figure(places, labels, said, right, classes, names),
        "library": html.plotly(),
        "kept": float(pca.explained_variance_ratio_.sum()),
        "examples": len(rows),
    }


def _figure(
    places: np.ndarray,
    labels: np.ndarray,
    said: np.ndarray,
    right: np.ndarray,
    classes: Sequence[str],
    names: Sequence[str],
) -> Any:
    import plotly.colors
    import plotly.graph_objects as go

    shades = plotly.colors.qualitative.Dark24
    words: Any = np.array([
        f"{_text(name)}<br>is {_text(classes[a])}, predicted {_text(classes[b])}"
        for name, a, b in zip(names, labels.tolist(), said.tolist(), strict=True)
    ])  # fmt: skip

    def points(some: np.ndarray, name: str, color: str, symbol: str, *, visible: bool) -> Any:
        x, y, z = places[some].T
        marker = {"size": 3 if symbol == "circle" else 5, "color": color, "symbol": symbol}
        return go.Scatter3d(
            x=x, y=y, z=z, mode="markers", name=name, text=words[some], hoverinfo="text", marker=marker, visible=visible
        )

    present = [k for k in range(len(classes)) if (labels == k).any()]
    by_class = [points(labels == k, _text(classes[k]), shades[k % 24], "circle", visible=True) for k in present]
    by_class += [points(~right, "mistakes", "black", "x", visible=True)] if (~right).any() else []
    by_error = [points(some, name, color, "circle", visible=False)
                for some, name, color in ((right, "right", RIGHT), (~right, "wrong", WRONG)) if some.any()]  # fmt: skip
    buttons = [
        {"label": label, "method": "restyle", "args": [{"visible": [v] * len(by_class) + [not v] * len(by_error)}]}
        for label, v in (("by class", True), ("by error", False))
    ]
    axis = {"showticklabels": False, "title": {"text": ""}}
    layout = {
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "scene": {"xaxis": axis, "yaxis": axis, "zaxis": axis},
        "updatemenus": [
            {"buttons": buttons, "type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "y": 1}
        ],
        "legend": {"itemsizing": "constant", "y": 0.9},
    }
    return json.loads(str(go.Figure([*by_class, *by_error], layout).to_json()))


def _text(name: Any) -> str:
    """As plotly shows it, which takes some tags for what they say."""
    return str(name).replace("&", "&amp;").replace("<", "&lt;")
