"""A run from Python: trained and loaded, it answers as `tljax predict` does."""

import numpy as np
import pytest
from PIL import Image

import tljax
from tests import small
from tljax.core.errors import DataError
from tljax.core.plugins import find
from tljax.given import config
from tljax.runs.run import run
from tljax.weights import search

RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def photos(tmp_path):
    """Two classes that any network tells apart, 12 pictures each."""
    rng = np.random.default_rng(0)
    for name, colour in (("red", RED), ("blue", BLUE)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            noise = rng.integers(-25, 25, (16, 16, 3))
            Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_a_folder_is_trained_and_asked_from_python(photos, tmp_path, monkeypatch):
    """The weights are those of a small run on digits: what a card beside a file says is enough."""
    card = {"model__card__mean": (0.3,) * 3, "model__card__std": (0.4,) * 3}
    run(small.config(data__channels=3, data__size=16, **card), tmp_path / "digits")
    weights = tmp_path / "digits" / "model"
    monkeypatch.setattr(
        search, "find", lambda kind, wanted="", **_: search.Choice(str(weights), "lenet", "small", "here")
    )
    found = tljax.train(photos, workdir=tmp_path / "run", strategy="full", epochs=3, lr=0.01, data__near_copies=-1)
    assert found.folder == tmp_path / "run" and found.classes == ("blue", "red")
    assert found.result["counts"] == {"train": 16, "validation": 4, "test": 4}
    loaded = tljax.load(found.folder)
    (one,) = loaded.predict(photos / "red" / "0.png")
    assert {type(value) for value in one.values()} <= {str, float}  # as json.dumps takes them
    assert one["prediction"] in ("red", "blue") and one["p(red)"] + one["p(blue)"] == pytest.approx(1)
    assert len(loaded.predict([photos])) == 24
    with pytest.raises(DataError, match="neither: nowhere"):
        loaded.predict("nowhere.png")


def test_the_config_of_a_folder_is_one_that_every_plugin_takes(photos, monkeypatch):
    monkeypatch.setattr(search, "find", lambda kind, wanted="", **_: search.Choice("w", "lenet", "small", "here"))
    given = config.read(str(photos))
    assert find("sources", given.config.data.source) and given.config.train.minutes
