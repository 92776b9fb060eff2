"""Small real runs for tests: digits, LeNet or a ResNet of two blocks, seconds each."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict
from PIL import Image

from configs import digits
from tljax.networks.families import resnet, vit
from tljax.reporting.report import Report
from tljax.runs.run import run

TINY = resnet.Variant((1, 1), bottleneck=False, width=8)
TINY_VIT = vit.Variant(patch=2, width=16, heads=2, depth=2, average=True)


def changed(config: Any, changes: dict[str, Any]) -> Any:
    """The config with "data__size" set where `data.size` is."""
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value
    return config


def config(**changes: Any) -> Any:
    """One run on digits: "data__size"=16 sets data.size."""
    one = digits.get_config()
    one.suite.rows, one.suite.first, one.suite.seeds = ConfigDict(), (), (0,)
    one.strategy.name = "scratch"
    one.train.update(epochs=2.0, batch_size=20, eval_batch_size=64, log_steps=1, checkpoint_epochs=1.0)
    return changed(one, changes)


def resnet_config(monkeypatch: Any, **changes: Any) -> Any:
    """The same with a tiny ResNet, so that there is BatchNorm."""
    monkeypatch.setitem(resnet.VARIANTS, "tiny", TINY)
    one = config(model__family="resnet", model__variant="tiny", data__size=16)
    one.groups = ConfigDict({"low": "stem", "high": "stage1..stage2", "head": "head"}, sort_keys=False)
    one.strategy.scales = ConfigDict({"low": 0.1, "high": 1.0, "head": 1.0}, sort_keys=False)
    one.optimizer.lr = 0.02
    return changed(one, changes)


def vit_config(monkeypatch: Any, **changes: Any) -> Any:
    """The same with a tiny ViT, which takes prompts."""
    monkeypatch.setitem(vit.VARIANTS, "least", TINY_VIT)
    one = config(model__family="vit", model__variant="least")
    one.groups = ConfigDict()
    return changed(one, changes)


def losses(folder: Path) -> np.ndarray:
    """The training losses in a run's log, in order."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return np.array([row["loss"] for row in rows if row["part"] == "train"])


def run_cut_off(monkeypatch: Any, config: Any, folder: Path, *, at: int) -> None:
    """Begin a run that is interrupted when step `at` is done."""
    advance = Report.advance

    def cut(report: Report, step: int) -> None:
        advance(report, step)
        if step == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Report, "advance", cut)
        with pytest.raises(KeyboardInterrupt):
            run(config, folder)


def saved_bits(folder: Path) -> dict[str, bytes]:
    """`bits` of a run's model/."""
    return bits(safetensors.numpy.load_file(folder / "model" / "model.safetensors"))


def bits(tree: Any) -> dict[str, bytes]:
    """Every leaf's bytes by its path: what must be equal where "the same" means bit-equal."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def photographs(root: Path, monkeypatch: Any) -> Any:
    """A run on colour photographs of three classes, of many sizes, below `root`: resized, cropped, normalised."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("ant", "bee", "fly")):
        for split, number in (("train", 8), ("test", 5)):
            (root / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 200, (20 + i, 33 - 2 * i, 3), np.uint8)
                pixels[..., label] += 55
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    one = resnet_config(monkeypatch, data__source="image_folder", data__dir=str(root), data__channels=3)
    one.data.update(fractions=(), classes=(), examples_per_class=0, resize=20, crop=16, size=24)
    one.model.card.update(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    one.train.update(epochs=2.0, batch_size=8, eval_batch_size=8)
    return one


WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "good", "bad", "very", "book")


def word_tokenizer(folder: Path) -> Path:
    """A tokenizer of the words above as Hugging Face saves one: [CLS] a text [SEP] another [SEP]."""
    import tokenizers
    import transformers

    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    fast = tokenizers.Tokenizer(model)
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="[PAD]", unk_token="[UNK]")
    wrapped.save_pretrained(folder)
    return folder
