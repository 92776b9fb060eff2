"""Paths with a typing error: what lies near them."""

import pytest

from tljax.core.near_names import paths


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("My pictures", "messages.csv", "runs/one", "runs/two", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Mypictures", ["My pictures"]),
        ("my_picture", ["My pictures"]),
        ("mesages.csv", ["messages.csv"]),
        ("run/one", ["runs"]),  # the first part of the path that does not exist
        ("runs/on", ["runs/one"]),
        ("hidden", []),
        ("something else", []),
        ("runs", []),  # it exists
        ("nowhere/at/all", []),
    ],
)
def test_what_is_near_is_named(here, asked, found):
    names = " and ".join(f"'{name}'" for name in found)
    assert paths.near(asked) == (f" Near it there is {names}." if found else "")
