import pytest

from tljax.core import plugins
from tljax.core.errors import ConfigError, DataError, TljaxError, WeightsError, gather


def test_a_name_is_a_file():
    assert plugins.find("families", "resnet").__name__ == "tljax.networks.families.resnet"
    assert {"full", "groups", "linear_probe", "scratch"} <= set(plugins.available("strategies"))


def test_an_unknown_name_lists_what_exists():
    with pytest.raises(ConfigError, match=r"tljax/networks/families/: .*lenet, .*resnet.*Did you mean 'resnet'\?"):
        plugins.find("families", "resnett")


def fail(error):
    raise error


def test_gather_reports_all_failures_under_the_first_code():
    with pytest.raises(DataError, match="no pictures\nno weights"):
        gather(lambda: fail(DataError("no pictures")), lambda: fail(WeightsError("no weights")))
    with pytest.raises(WeightsError, match="^no weights$"):
        gather(lambda: 1, lambda: fail(WeightsError("no weights")))
    assert gather(lambda: 1, lambda: 2) == [1, 2]


def test_gather_lets_a_bug_through():
    with pytest.raises(ZeroDivisionError):
        gather(lambda: 1 / 0, lambda: fail(DataError("no pictures")))


def test_exit_codes():
    assert [kind.code for kind in (TljaxError, ConfigError, DataError, WeightsError)] == [1, 2, 3, 4]
