"""Every config loads, and every key of the default has its comment."""

import ast
import importlib
from pathlib import Path

import pytest

from configs import cifar10_4000, default
from tljax.core import settings
from tljax.runs import suite

FOLDER = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_the_default_plus_what_differs(name):
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config()
    settings.check(config)
    known = settings.as_flat(default.get_config())
    open_tables = (
        "groups",
        "strategy.scales",
        "optimizer.kwargs",
        "optimizer.schedule_kwargs",
        "optimizer.groups",
        "suite.rows",
    )
    new = [k for k in settings.as_flat(config) if k not in known and not k.startswith(open_tables)]
    assert new == []
    if name != "default":
        assert f"--config configs/{name}.py" in module.__doc__


def test_every_key_has_its_comment():
    lines = (FOLDER / "default.py").read_text().splitlines()
    tree = ast.parse("\n".join(lines))
    assigned = [n for n in ast.walk(tree) if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Attribute)]
    section = "ConfigDict(sort_keys=False)"
    for node in assigned:
        text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        assert "#" in text or text.endswith(section), text


# Slide row -> learning rates of conv1-3, conv4-5, classifier, and whether weights are pretrained.
SLIDE = {
    "model_a_high": (0.1, 0.1, 0.1, False),
    "model_b_high": (0.1, 0.1, 0.1, True),
    "model_a_low": (1e-4, 1e-4, 1e-4, False),
    "model_b_low": (1e-4, 1e-4, 1e-4, True),
    "model_c": (1e-4, 1e-4, 0.1, True),
    "model_d": (1e-4, 1e-3, 0.1, True),
}


@pytest.mark.parametrize("row", SLIDE)
def test_the_rows_of_the_slide(row):
    together = {name: one for name, _, one, _ in suite.expand(cifar10_4000.get_config("all"), Path("x"))}
    for config in (cifar10_4000.get_config(row), together[row]):
        assert config.strategy.name == ("groups" if SLIDE[row][3] else "scratch")
        scales = dict(config.strategy.scales) if SLIDE[row][3] else dict.fromkeys(config.groups, 1.0)
        rates = [config.optimizer.lr * scales[group] for group in ("conv1_3", "conv4_5", "classifier")]
        assert rates == pytest.approx(SLIDE[row][:3], rel=1e-12)
        assert config.optimizer.name == "sgd" and dict(config.optimizer.kwargs) == {"momentum": 0.9}
        assert config.optimizer.weight_decay == 5e-4 and config.train.epochs == 100
    assert cifar10_4000.get_config().to_json() == cifar10_4000.get_config("model_d").to_json()


def test_an_unknown_row_lists_the_rows():
    with pytest.raises(ValueError, match="model_a_high.*model_d, all or best; got 'model_e'"):
        cifar10_4000.get_config("model_e")
