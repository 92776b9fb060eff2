"""What other trainers call a key, and slips of the hand, lead to the right key: near_names.txt was written first."""

from pathlib import Path

import pytest

from configs import default
from tljax.core import options, overrides
from tljax.core.errors import ConfigError
from tljax.core.near_names.words import ALSO_CALLED

LINES = (Path(__file__).parent / "near_names.txt").read_text().splitlines()
MEANT = {name: set(keys.split("|")) for name, _, keys in (line.partition(" -> ") for line in LINES) if keys}


def hinted(name):
    """The key that the error names."""
    with pytest.raises(ConfigError) as caught:
        overrides.apply(default.get_config(), [f"{name}=1"])
    return str(caught.value).partition("Did you mean 'config.")[2].partition("'")[0]


def test_at_least_95_in_100_names_lead_to_the_key_that_is_meant():
    assert len(MEANT) > 200
    wrong = {name: found for name in MEANT if (found := hinted(name)) not in MEANT[name]}
    assert len(wrong) <= 0.05 * len(MEANT), wrong


@pytest.mark.parametrize("name", ["learning_rate", "path", "pretrained", "freeze", "batch", "epochs", "lr"])
def test_the_commonest_names_are_among_them(name):
    assert hinted(name) in MEANT[name]


@pytest.mark.parametrize("name", ["zzz", "qwerty.uiop", "data.xyzzy"])
def test_what_is_like_nothing_gets_no_hint(name):
    assert hinted(name) == ""


def test_a_key_of_a_plugin_that_is_not_chosen_is_said_to_be_its():
    with pytest.raises(ConfigError, match=r"Did you mean 'config.strategy.rank'\? It is an option of lora\."):
        overrides.apply(default.get_config(), ["lora_dim=4"])


def test_every_phrase_belongs_to_a_key():
    config = default.get_config()
    known = {
        *options.config_tables.flat(config),
        *(f"{s}.{name}" for s in options.SECTIONS for name in options.shipped(s)),
    }
    assert set(ALSO_CALLED) <= known
