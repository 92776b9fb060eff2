import pytest

from tljax.core import plugins
from tljax.core.errors import ConfigError, DataError, TljaxError, WeightsError, gather


def test_a_name_is_a_file():
    assert plugins.find("families", "resnet").__name__ == "tljax.networks.families.resnet"
    assert {"full", "groups", "linear_probe", "scratch"} <= set(plugins.available("strategies"))


def test_an_unknown_name_lists_what_exists():
    with pytest.raises(ConfigError, match=r"tljax/networks/families/: .*lenet, .*resnet.*Did you mean 'resnet'\?"):
        plugins.find("families", "resnett")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A plugin of one's own, that notes when its code runs, beside a file that it imports."""
    monkeypatch.setattr(plugins, "_given", {})
    (tmp_path / "beside_it.py").write_text("NUMBER = 7\n")
    file = tmp_path / "mine_alone.py"
    ran = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).open('ab', 0).close()\n"
    file.write_text(f"from beside_it import NUMBER\n{ran}")
    return file


def test_a_file_is_a_plugin_wherever_it_lies(own):
    found = plugins.find("strategies", str(own))
    assert found.NUMBER == 7 and plugins.name(found) == "mine_alone"
    assert plugins.find("strategies", str(own)) is found is plugins.find_known("strategies", "mine_alone")
    assert (own.parent / "ran").exists()


def test_a_module_is_a_plugin():
    assert plugins.find("tasks", "tests.outside.label_map").__name__ == "tests.outside.label_map"


@pytest.mark.parametrize("name", ["{}", "mine_alone"])
def test_no_code_runs_because_a_run_folder_names_it(own, name):
    with pytest.raises(ConfigError, match="give it with --plugins FILE"):
        plugins.find_known("strategies", name.format(own))
    assert not (own.parent / "ran").exists()
    plugins.give([str(own)])
    assert plugins.find_known("strategies", "mine_alone").NUMBER == 7


def test_a_file_may_not_take_the_name_of_one_of_ours(tmp_path):
    (tmp_path / "lora.py").write_text("")
    with pytest.raises(ConfigError, match="tljax has 'lora'. Rename the file"):
        plugins.find("strategies", str(tmp_path / "lora.py"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 / 0", "must load, but fails: ZeroDivisionError"), (None, "must be a Python file; '.*' is none")],
)
def test_a_file_that_does_not_load_is_one_error(tmp_path, text, message):
    file = tmp_path / "broken_plugin.py"
    if text:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        plugins.find("strategies", str(file))


def test_an_installed_package_offers_its_plugins(monkeypatch):
    class Point:
        name = "offered"

        def load(self):
            return plugins

    monkeypatch.setattr(
        plugins.importlib.metadata, "entry_points", lambda group: [Point()] if group == "tljax.strategies" else []
    )
    assert plugins.find("strategies", "offered") is plugins
    with pytest.raises(ConfigError, match="'offered' must be one of the files in tljax/tasks/"):
        plugins.find("tasks", "offered")


def fail(error):
    raise error


def test_gather_reports_all_failures_under_the_first_code():
    with pytest.raises(DataError, match="no pictures\nno weights"):
        gather(lambda: fail(DataError("no pictures")), lambda: fail(WeightsError("no weights")))
    with pytest.raises(WeightsError, match="^no weights$"):
        gather(lambda: 1, lambda: fail(WeightsError("no weights")))
    assert gather(lambda: 1, lambda: 2) == (1, 2)


def test_gather_lets_a_bug_through():
    with pytest.raises(ZeroDivisionError):
        gather(lambda: 1 / 0, lambda: fail(DataError("no pictures")))


def test_exit_codes():
    assert [kind.code for kind in (TljaxError, ConfigError, DataError, WeightsError)] == [1, 2, 3, 4]
