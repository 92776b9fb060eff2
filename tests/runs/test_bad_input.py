"""The command line: what is wrong is said in a few lines, with the promised exit code, and nothing is written."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from tests import run_folders, small
from tljax import cli
from tljax.core import plugins, settings
from tljax.core.errors import DataError
from tljax.core.types import Card
from tljax.data import preprocess
from tljax.networks.families import lenet
from tljax.networks.network import Network
from tljax.runs import suite
from tljax.tasks import classification
from tljax.weights import placement

ROOT = Path(__file__).parents[2]
CONFIG, DATA, WEIGHTS = 2, 3, 4
# One plain run on digits that fits the fake devices of the tests.
BASE = (
    f"--config={ROOT / 'configs' / 'digits.py'}",
    "--config.suite.rows={}",
    "--config.suite.first=()",
    "--config.strategy.name=scratch",
    "--config.train.batch_size=20",
    "--config.train.eval_batch_size=64",
    "--config.train.epochs=1",
    "--config.optimizer.lr=0.1",
)
CIFAR = ROOT / "configs" / "cifar10_4000.py"


def known(kind: str, folder: str) -> str:
    """What an error says of a name that no plugin has: every name of its kind."""
    return f"{folder}/: {', '.join(plugins.available(kind))}"


def pictures(root: Path, *, cut: tuple[str, ...] = (), **folders: int) -> list[str]:
    """A folder of small grey pictures, "split_class"=number of them; the arguments that read it."""
    for folder, number in folders.items():
        place = root / "pictures" / folder.replace("_", "/")
        place.mkdir(parents=True)
        for i in range(number):
            Image.new("L", (8, 8), i).save(place / f"{i}.png")
    for name in cut:
        file = root / "pictures" / name
        file.write_bytes(file.read_bytes()[:45])
    source = ["source=image_folder", f"dir={root / 'pictures'}", "fractions=()", "classes=()", "examples_per_class=0"]
    return [f"--config.data.{change}" for change in source]


FULL = {"train_ant": 6, "train_bee": 6, "test_ant": 2, "test_bee": 2}


@functools.cache
def arrays(variant: str) -> dict[str, np.ndarray]:
    network = Network(lenet.build(variant), classification.head(5))
    variables = placement.init(network, preprocess.example(small.config().data, Card((), ())), seed=0)
    return placement.publish(variables, lenet.names(variant))


def weights(root: Path, variant: str = "small", keep: float = 1.0, without: str = "", **more: np.ndarray) -> list[str]:
    """A file of LeNet weights, whole or not; the arguments that start from it."""
    file = root / "net.safetensors"
    safetensors.numpy.save_file({name: x for name, x in arrays(variant).items() if name != without} | more, file)
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    return ["--config.strategy.name=full", f"--config.model.weights={file}"]


def another_config(root: Path) -> list[str]:
    run_folders.write(
        root / "run", json.loads(settings.to_json(settings.resolve(cli.read(BASE).given.config)[0])), None
    )
    return ["--config.seed=3", "--config.optimizer.lr=0.5"]


def file_for_a_folder(root: Path) -> list[str]:
    (root / "run").write_text("mine")
    return []


def fails(root: Path) -> list[str]:
    (root / "fails.py").write_text("def get_config():\n    return 1 / 0\n")
    return [f"--config={root / 'fails.py'}"]


# what is wrong -> (arguments, or what makes them; exit code; what the message must say)
CASES = {
    "unknown key": (
        ["--config.optimizer.lrr=1"],
        CONFIG,
        ["config.optimizer.lrr is no key", "Did you mean 'config.optimizer.lr'?", "configs/default.py"],
    ),
    "wrong type": (["--config.train.epochs=many"], CONFIG, ["config.train.epochs must be of type float", "got 'many'"]),
    "negative learning rate": (
        ["--config.optimizer.lr", "-1"],
        CONFIG,
        ["optimizer.lr must be a finite number > 0; got -1.0"],
    ),
    "learning rate NaN": (["--config.optimizer.lr=nan"], CONFIG, ["lr must be a finite number > 0; got nan"]),
    "learning rate infinite": (["--config.optimizer.lr=inf"], CONFIG, ["lr must be a finite number > 0; got inf"]),
    "what can be known at once": (
        ["--config.strategy.name=full", "--config.optimizer.kwargs.momentun=0.9", "--config.train.batch_size=21"],
        CONFIG,
        ["config.model.weights is empty", "config.optimizer.kwargs must fit 'sgd'", "must be multiples of the"],
    ),
    "seeds twice": (["--config.suite.seeds=(0, 0)"], CONFIG, ["suite.seeds must be different integers", "got (0, 0)"]),
    "no such encoding": (
        ["--config.data.source=text_csv", "--config.data.encoding=klingon"],
        CONFIG,
        ["data.encoding must be an encoding of Python"],
    ),
    "words without quotes": (
        ["--config.strategy.moving_statistics=(zz,)"],
        CONFIG,
        ["config.strategy.moving_statistics must be of type tuple", "in quotes", "got '(zz,)'"],
    ),
    "no such group": (
        ["--config.strategy.moving_statistics=zz"],
        CONFIG,
        ["config.strategy.moving_statistics must name groups (features, head); got zz."],
    ),
    "two at once": (["--config.optimizer.lr=0", "--config.seed=-1"], CONFIG, ["config.optimizer.lr", "config.seed"]),
    "no such config": (["--config=configs/digitz.py"], CONFIG, ["got 'configs/digitz.py'", "cifar10_4000, digits"]),
    "no such row": ([f"--config={CIFAR}:nope"], CONFIG, ["the row must be one of model_a_high,", "got 'nope'"]),
    "a row where there are none": (
        [f"{BASE[0]}:x"],
        CONFIG,
        ["digits.py:x must name a row that there is", "has no rows"],
    ),
    "config that fails": (fails, CONFIG, ["fails.py must load, but fails: ZeroDivisionError: division by zero"]),
    "unknown flag": (
        ["--wrokdir=x"],
        CONFIG,
        ["does not fit: unrecognized arguments: --wrokdir=x. Did you mean '--workdir'?", "usage: tljax train"],
    ),
    "a word too many": (["seed=3"], CONFIG, ["Give one thing to train on; got 'seed=3' and --config"]),
    "flag without value": (["--workdir"], CONFIG, ["argument --workdir: expected one argument"]),
    "group that matches nothing": (
        ["--config.groups={'low': 'conv1..conv2 convv9', 'head': 'fc1 head'}"],
        CONFIG,
        ["matching nothing: low: 'convv9' matches no parameter", "The stages are conv1, conv2, fc1, head"],
    ),
    "parameters in no group": (
        ["--config.groups={}", "--config.groups.head=head"],
        CONFIG,
        ["parameters in no group: backbone/conv1/conv/bias, "],
    ),
    "scale without a group": (
        lambda root: [*weights(root), "--config.strategy.name=groups", "--config.strategy.scales.stem=0"],
        CONFIG,
        ["scales without a group: stem", "The groups are features, head"],
    ),
    "unknown family": (["--config.model.family=resnett"], CONFIG, ["'resnett' must be", "Did you mean 'resnet'?"]),
    "unknown variant": (["--config.model.variant=tiny"], CONFIG, ["must be one of small, medium; got 'tiny'"]),
    "unknown strategy": (
        ["--config.strategy.name=fulll"],
        CONFIG,
        [known("strategies", "tljax/transfer/strategies"), "Did you mean 'full'?"],
    ),
    "unknown task": (["--config.task.name=captioning"], CONFIG, [known("tasks", "tljax/tasks")]),
    "unknown source": (
        ["--config.data.source=folder"],
        CONFIG,
        [known("sources", "tljax/data/sources")],
    ),
    "unknown optimizer": (["--config.optimizer.name=sgdd"], CONFIG, ["got 'sgdd'. Did you mean 'sgd'?", "adamw"]),
    "optimizer's argument": (["--config.optimizer.kwargs.momentun=0.9"], CONFIG, ["must fit 'sgd'", "momentun"]),
    "an optimizer's argument that is no number": (
        ["--config.optimizer.kwargs.momentum=1e999"],
        CONFIG,
        ["config.optimizer.kwargs must be finite; got momentum=inf"],
    ),
    "another optimizer with the arguments of the first": (
        ["--config.optimizer.name=adamw"],
        CONFIG,
        ["must fit 'adamw': ", "'momentum'", "--config.optimizer.kwargs={}"],
    ),
    "an optimizer that is none": (
        ["--config.optimizer.name=math:pi"],
        CONFIG,
        ["'math:pi' must be an optimizer"],
    ),
    "a rate that falls below 0": (
        ["--config.optimizer.schedule=cosine", "--config.optimizer.schedule_kwargs.end=-1"],
        CONFIG,
        ["schedule 'cosine' must be finite numbers >= 0", "schedule_kwargs ({'end': -1})"],
    ),
    "more updates than can be counted": (
        ["--config.train.epochs=1e300"],
        CONFIG,
        ["must make less than 2**31 updates"],
    ),
    "pictures too small": (
        ["--config.data.size=1"],
        CONFIG,
        ["Pictures must be larger", "over 2 x 2 gets a map of 1 x 1"],
    ),
    "unknown schedule": (
        ["--config.optimizer.schedule=cosin"],
        CONFIG,
        ["'cosin' must be a schedule (constant, cosine"],
    ),
    "unknown parallel": (["--config.parallel=pjit"], CONFIG, ["config.parallel must be one of jit, pmap; got 'pjit'"]),
    "unknown class": (["--config.data.classes=5,12"], CONFIG, ["distinct names among 0, 1", "unknown or twice: 12"]),
    "batch not divisible": (
        ["--config.train.batch_size=50"],
        CONFIG,
        ["must be multiples of the 4 devices; got 50 and 64"],
    ),
    "no weights for a strategy that needs them": (
        ["--config.strategy.name=full"],
        CONFIG,
        ["config.model.weights is empty", "--config.strategy.name=scratch"],
    ),
    "channels": (["--config.data.channels=3"], CONFIG, ["Weights expect 1 channel(s)", "the pictures have 3"]),
    "workdir of another config": (
        another_config,
        CONFIG,
        ["belongs to a run with another config", "optimizer.lr: 0.1 -> 0.5", "seed: 0 -> 3", "another --workdir"],
    ),
    "workdir is a file": (file_for_a_folder, CONFIG, ["--workdir must be a folder"]),
    "suite row that is no tuple": (["--config.suite.rows.a=seed"], CONFIG, ["suite.rows.a must be a tuple of strings"]),
    "suite row": (["--config.suite.rows.a=('lr=1',)"], CONFIG, ["config.lr is no key", "'config.optimizer.lr'?"]),
    "label out of range": ([], DATA, ["Labels must be 0 to 9 (10 classes); 1 are not: example 3: 10"]),
    "truncated picture": (
        lambda root: pictures(root, cut=("train/bee/1.png", "train/bee/4.png", "test/ant/0.png"), **FULL),
        DATA,
        ["2 of 12 are not:", "train/bee/1.png: not a whole picture", "bee/4.png", "test/ant/0", "unreadable=skip"],
    ),
    "empty class folder": (
        lambda root: pictures(root, train_cat=0, **FULL),
        DATA,
        ["empty: train/cat", "Add pictures"],
    ),
    "class only in test": (
        lambda root: pictures(root, test_cat=2, **FULL),
        DATA,
        ["only in other splits: test: cat", "Rename"],
    ),
    "missing folder": (
        ["--config.data.source=image_folder", "--config.data.dir=/nowhere/pictures"],
        DATA,
        ["no folder '/nowhere/pictures'. Set config.data.dir", "train/ants/1.jpg"],
    ),
    "too few examples": (
        ["--config.data.examples_per_class=1000"],
        DATA,
        ["at least 1000 training example(s)", "5: 9"],
    ),
    "pictures and weights missing": (
        [
            f"--config={CIFAR}",
            "--config.data.source=image_folder",
            "--config.data.dir=/nowhere",
            "--config.model.weights=/nowhere/net.safetensors",
        ],
        DATA,
        ["no folder '/nowhere'", "no file '/nowhere/net.safetensors'"],
    ),
    "weights truncated": (lambda root: weights(root, keep=0.7), WEIGHTS, ["net.safetensors", "truncated or damaged"]),
    "weights of another architecture": (
        lambda root: weights(root, "medium"),
        WEIGHTS,
        ["conv1.weight (32, 1, 3, 3), must be (16, 1, 3, 3) here", "fc1.weight", "Choose the variant"],
    ),
    "missing tensor": (lambda root: weights(root, without="conv2.bias"), WEIGHTS, ["1 missing: conv2.bias"]),
    "extra tensor": (lambda root: weights(root, extra=np.ones(2, np.float32)), WEIGHTS, ["1 extra: extra"]),
    "no weights file": (
        ["--config.strategy.name=full", "--config.model.weights=/nowhere/net.safetensors"],
        WEIGHTS,
        ["no file '/nowhere/net.safetensors'"],
    ),
}


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def start(root: Path, *arguments: str) -> int:
    return cli.start(["main.py", *BASE, "--workdir", str(root / "run"), *arguments])


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name, tmp_path, capsys, monkeypatch):
    arguments, code, texts = CASES[name]
    arguments = arguments(tmp_path) if callable(arguments) else arguments
    if name == "label out of range":
        break_a_label(monkeypatch)
    if name == "suite row":
        arguments = [*arguments, "--config.suite.seeds=(0,)"]
    before = files(tmp_path)
    assert start(tmp_path, *arguments) == code
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and "Traceback" not in err
    assert [text for text in texts if text not in err] == [], err
    assert len(err.splitlines()) <= 8 and out == ""
    assert files(tmp_path) == before  # nothing half-written
    assert (tmp_path / "run").exists() == any(file.is_relative_to(tmp_path / "run") for file in before)


def break_a_label(monkeypatch):
    from tljax.data.sources import digits

    read = digits.Digits.__init__

    def broken(self, *arguments):
        read(self, *arguments)
        self.labels[3] = 10

    monkeypatch.setattr(digits.Digits, "__init__", broken)


def test_the_same_command_resumes_after_a_mistake_is_mended(tmp_path, capsys):
    """Nothing of the failed start stands in the way of the next one."""
    assert start(tmp_path, "--config.optimizer.name=sgdd") == CONFIG
    assert start(tmp_path) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["counts"] == {"train": 50, "test": 448}  # 10 a class, half of every class


def test_skipped_pictures_are_counted_and_listed(tmp_path, capsys):
    arguments = pictures(tmp_path, cut=("train/bee/1.png", "test/ant/0.png"), **FULL)
    arguments += ["--config.data.unreadable=skip", "--config.train.batch_size=4"]
    assert start(tmp_path, *arguments) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["counts"] == {"train": 11, "test": 3}
    assert "skipped 2 (all in skipped.txt)" in capsys.readouterr().out
    listed = (tmp_path / "run" / "skipped.txt").read_text().splitlines()
    assert [re.split(r"pictures/|: ", line)[1] for line in listed] == ["train/bee/1.png", "test/ant/0.png"]


def test_a_finished_run_prints_its_result_and_stops(tmp_path, capsys):
    """Its data are gone, and nobody misses them."""
    gone = ["--config.data.source=image_folder", "--config.data.dir=/nowhere/pictures"]
    config = json.loads(settings.to_json(settings.resolve(cli.read([*BASE, *gone]).given.config)[0]))
    run_folders.write(tmp_path / "run", config, run_folders.result(0.75))
    before = files(tmp_path)
    assert start(tmp_path, *gone) == 0
    assert "already finished, result: train accuracy 1.0000 (10), test accuracy 0.7500 (1000); 2.0 s" in (
        " ".join(capsys.readouterr().out.split())
    )
    assert files(tmp_path) == before


# The command line itself


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], "runs/digits"),
        (["--config", "configs/digits.py"], "runs/digits"),
        (["--config=configs/cifar10_4000.py"], "runs/cifar10_4000"),
        (["--config", "configs/cifar10_4000.py:model_c", "--config.seed", "3"], "runs/cifar10_4000-model_c"),
        (["--config.seed=3", "--workdir", "x/y", "--debug"], "x/y"),
    ],
)
def test_the_run_folder(arguments, folder):
    assert cli.read(arguments).workdir == Path(folder)


def test_overrides_in_all_spellings():
    words = [
        "--config.seed=3",
        "--config.data.flip",
        "--config.optimizer.lr",
        "1e-3",
        "--config.strategy.scales.stem=0",
    ]
    config = cli.read([*words, "--config.groups.low=stem..stage2", "--config=configs/digits.py"]).given.config
    assert (config.seed, config.data.flip, config.optimizer.lr) == (3, True, 1e-3)
    assert (config.strategy.scales.stem, config.groups.low) == (0, "stem..stage2")


def test_a_suite_goes_to_the_suite_and_a_run_to_the_run(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(suite, "run", lambda *arguments, flags: seen.append("suite"))
    for rows in ([], ["--config.suite.rows={}"]):
        assert cli.start(["main.py", *rows], run=lambda config, folder: seen.append("run")) == 0
    assert seen == ["suite", "run"]


def test_what_we_warn_of_is_said_plainly():
    told = cli._plain(UserWarning("a checkpoint is gone"), UserWarning, str(ROOT / "tljax" / "train_loop.py"), 81)
    assert told == "a checkpoint is gone\n"
    assert cli._plain(UserWarning("old"), UserWarning, "/else.py", 7) == "/else.py:7: UserWarning: old\n"


def test_debug_shows_the_traceback(capsys):
    def fail(config, folder):
        raise DataError("no pictures")

    assert cli.start(["main.py", *BASE], run=fail) == DATA
    assert capsys.readouterr().err == "error: no pictures\n"
    assert cli.start(["main.py", *BASE, "--debug"], run=fail) == DATA
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith("error: no pictures\n")


def test_an_interrupt_says_how_to_go_on(capsys):
    def stop(config, folder):
        raise KeyboardInterrupt

    assert cli.start(["main.py", *BASE], run=stop) == 130
    assert "the same command starts again" in capsys.readouterr().err


def test_a_bug_is_no_error_of_the_user():
    def bug(config, folder):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.start(["main.py", *BASE], run=bug)


def test_from_the_shell(tmp_path):
    """Once for real: exit code, one message, no traceback, nothing written."""
    arguments = [*BASE, f"--workdir={tmp_path / 'run'}", "--config.train.epoch=3", "--config.optimizer.lr=-1"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "main.py", *arguments], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == CONFIG and done.stdout == ""
    assert done.stderr == (
        "error: config.train.epoch is no key: every key stands in configs/default.py. "
        "Did you mean 'config.train.epochs'?\n"
    )
    assert list(tmp_path.iterdir()) == []
