"""Feature vectors in three dimensions, as a figure of plotly that can be turned: by label, or by error."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.reporting import records
from tljax.reporting.page import html
from tljax.reporting.page.charts import RIGHT, WRONG
from tljax.reporting.page.html import Content

FILE = "map.csv"


@dataclasses.dataclass(frozen=True)
class Points:
    """What is known of the N examples of a map, in their order."""

    names: Sequence[str]
    labels: Sequence[str]
    said: Sequence[str]
    right: np.ndarray | None  # (N,) bool; None of numbers
    groups: Sequence[str]  # labels with a colour of their own, in this order
    numbers: np.ndarray | None = None  # (2, N): a number, and what is predicted


def draw(rows: np.ndarray, points: Points, folder: Path) -> Content:
    """Features (N, D) by their first three principal components, and `FILE` in `folder` with their places.

    Returns:
      "figure": JSON for plotly.js, "library": that, see `html.plotly`; "kept": the share of the variance that is seen;
      "examples": N.
    """
    from sklearn.decomposition import PCA

    size = min(3, *rows.shape)
    pca = PCA(size, random_state=0).fit(rows)
    places = np.pad(pca.transform(rows), ((0, 0), (0, 3 - size))).astype(np.float32)
    columns = {"name": list(points.names), "label": list(points.labels), "prediction": list(points.said)}
    records.save(folder / FILE, columns | dict(zip("xyz", places.T, strict=True)))
    return {
        "figure": _figure(places, points),
        "library": html.plotly(),
        "kept": float(pca.explained_variance_ratio_.sum()),
        "examples": len(rows),
    }


def _figure(places: np.ndarray, points: Points) -> Any:
    import plotly.graph_objects as go

    words: Any = np.array([
        f"{_text(name)}<br>is {_text(label)}, predicted {_text(said)}"
        for name, label, said in zip(points.names, points.labels, points.said, strict=True)
    ])  # fmt: skip

    def trace(some: np.ndarray, name: str, color: Any, **more: Any) -> Any:
        x, y, z = places[some].T
        marker = {"size": 3, "color": color, "symbol": "circle"} | more
        return go.Scatter3d(x=x, y=y, z=z, mode="markers", name=name, text=words[some], hoverinfo="text", marker=marker)

    first, second = (_by_number if points.right is None else _by_group)(points, trace)
    for one in second:
        one.visible = False
    buttons = [
        {"label": label, "method": "restyle", "args": [{"visible": [v] * len(first) + [not v] * len(second)}]}
        for label, v in (("by label", True), ("by error", False))
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
    return json.loads(str(go.Figure([*first, *second], layout).to_json()))


def _by_group(points: Points, trace: Any) -> tuple[list[Any], list[Any]]:
    """(A trace for each label, and one for the mistakes; right and wrong)."""
    import plotly.colors

    assert points.right is not None
    shades, labels, right = plotly.colors.qualitative.Dark24, np.array(points.labels), points.right
    first = [
        trace(labels == name, _text(name), shades[k % 24])
        for k, name in enumerate(points.groups)
        if (labels == name).any()
    ]
    rest = ~np.isin(labels, list(points.groups))
    first += [trace(rest, "others", "#bbbbbb")] if rest.any() else []
    first += [trace(~right, "mistakes", "black", size=5, symbol="x")] if (~right).any() else []
    sides = ((right, "right", RIGHT), (~right, "wrong", WRONG))
    return first, [trace(some, name, color) for some, name, color in sides if some.any()]


def _by_number(points: Points, trace: Any) -> tuple[list[Any], list[Any]]:
    """(All examples by their number; all by their error)."""
    assert points.numbers is not None
    label, said = points.numbers
    every, scale = np.ones(len(label), bool), {"showscale": True, "colorscale": "Viridis"}
    return [trace(every, "", label, **scale)], [trace(every, "", np.abs(said - label), **scale)]


def _text(name: Any) -> str:
    """As plotly shows it, which takes some tags for what they say."""
    return str(name).replace("&", "&amp;").replace("<", "&lt;")
