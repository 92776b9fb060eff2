"""The first second: what a start imports before it can say what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Packages that take long to import, and that nothing needs before data are read.
LATE = ("sklearn", "scipy.stats", "matplotlib", "grain", "orbax.checkpoint", "transformers")


def imported_by(code: str) -> set[str]:
    """The modules that a fresh Python has imported after `code`."""
    code = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_help_imports_nothing_that_computes():
    help_ = "from tljax.__main__ import main\ntry:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass"
    assert not imported_by(help_) & {"jax", "flax", *LATE}


@pytest.mark.parametrize("key", ["config.optimizer.lrr=1", "config.strategy.name=fulll", "config.optimizer.lr=-1"])
def test_a_key_that_does_not_fit_is_said_before_what_computes_is_imported(key):
    start = f"from tljax.__main__ import main\nassert main(['train', 'digits', '--{key}']) == 2"
    assert not imported_by(start) & set(LATE)


def test_the_package_alone_imports_no_jax():
    assert "jax" not in imported_by("import tljax")
