"""What stands beside weights of others: every field is held to its type, range and cost before anything is built."""

import dataclasses
import json
import time

import numpy as np
import pytest

from tests.mutations import mutated
from tests.weights.test_pretrained import config, save
from tests.weights.test_translation import spelled
from tljax.__main__ import main
from tljax.core.errors import TljaxError, WeightsError
from tljax.core.plugins import find
from tljax.core.types import Card
from tljax.networks.families import bert
from tljax.weights import pretrained

SECONDS = 10.0  # that any one of them may take
BERT = dataclasses.replace(bert.VARIANTS["base"], width=8, heads=2, depth=1, units=12, vocabulary=20, positions=16)
TIMM = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "input_size": [3, 64, 64], "crop_pct": 0.9}
PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 32, "width": 32}, "resample": 2,
             "crop_size": {"height": 32, "width": 32}, "do_center_crop": True, "rescale_factor": 0.00392,
             "crop_pct": 0.9, "do_normalize": True, "do_rescale": True}  # fmt: skip
VIT = {"num_attention_heads": 2, "layer_norm_eps": 1e-5, "hidden_act": "gelu", "image_size": 32}
CARD = Card(mean=(0.5,) * 3, std=(0.5,) * 3, size=32, crop=0.9, family="vit", variant="tiny16", licence="MIT")
MODULES = [{"idx": 0, "type": "sentence_transformers.models.Transformer", "path": ""},
           {"idx": 1, "type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]  # fmt: skip


def bert_arrays():
    shapes = {}
    for row in bert.names(BERT):
        if row.path.startswith("backbone"):
            last = row.path.rpartition("/")[2]
            shapes[row.published] = np.zeros((8, 8) if last in ("kernel", "embedding") else 8, np.float32)
    return shapes


# What is mutated -> (family, arrays, the files of the folder, which of them).
FILES = {
    "config of transformers": ("vit", spelled("transformers", "vit"), {"config": VIT}, "config"),
    "config of timm": (
        "mobilenet",
        spelled("timm", "mobilenet"),
        {"config": {"architecture": "mobilenetv2_100", "pretrained_cfg": TIMM}},
        "config",
    ),
    "config of a text encoder": ("bert", bert_arrays(), {"config": bert.describe(BERT, ())}, "config"),
    "preprocessor": (
        "vit",
        spelled("transformers", "vit"),
        {"config": VIT, "preprocessor_config": PROCESSOR},
        "preprocessor_config",
    ),
    "card": (
        "vit",
        spelled("transformers", "vit"),
        {"config": VIT, "card": json.loads(json.dumps(CARD.as_dict()))},
        "card",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file_is_read_or_refused_in_words(name, tmp_path):
    family, arrays, files, which = FILES[name]
    save(tmp_path, arrays, **files)
    one, refused, longest, slow = config(family, tmp_path), 0, 0, 0.0
    if family != "bert":
        one.card.mean, one.card.std = ((), ()) if which != "config" or "timm" in name else ((0.5,) * 3, (0.5,) * 3)
    assert pretrained.fetch(one, wanted=True).published
    for what, text in mutated(files[which]):
        (tmp_path / f"{which}.json").write_text(text)
        began = time.process_time()
        try:
            pretrained.fetch(one, wanted=True)
        except TljaxError as error:
            refused, longest = refused + 1, max(longest, len(str(error)))
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        slow = max(slow, time.process_time() - began)
    assert refused > 6 and longest < 4000 and slow < SECONDS


@pytest.mark.parametrize("depth", [10**9, 10**400, 1200], ids=["huge", "longer", "possible"])
def test_a_network_that_the_file_cannot_hold_is_refused_before_it_is_built(tmp_path, depth, capsys):
    save(tmp_path, bert_arrays(), config=bert.describe(BERT, ()) | {"num_hidden_layers": depth})
    began = time.process_time()
    assert main(["zoo", "check", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert time.process_time() - began < SECONDS and len(said) < 1000
    expected = (
        "depth must be a whole number in [1, 1200]; got 1000000000" if depth > 1200 else "has 19,209 tensors; the file"
    )
    assert expected in said


def test_modules_that_say_nothing_of_use_are_refused_in_words(tmp_path):
    save(tmp_path, bert_arrays(), config=bert.describe(BERT, ()), modules=MODULES)
    one = config("bert", tmp_path)
    for text in ('[{"type": 3}]', '[{"type": "a.Pooling", "path": ["x"]}]', '[{"type": "a.Pooling"}]'):
        (tmp_path / "modules.json").write_text(text)
        assert pretrained.fetch(one, wanted=True).published
    for text in ("[" * 100_000, "[3]", "{}"):
        (tmp_path / "modules.json").write_text(text)
        with pytest.raises(WeightsError, match=r"modules\.json' must hold a JSON list"):
            pretrained.fetch(one, wanted=True)


def test_what_a_file_says_reaches_no_terminal_as_a_command(tmp_path, capsys):
    arrays = {f"\x1b[31mred\x07.{name}": x for name, x in spelled("transformers", "vit").items()}
    save(tmp_path, arrays | {"\u202eevil": np.ones(1, np.float32)}, config=VIT)
    assert main(["zoo", "check", str(tmp_path), "--family=vit"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\u202e" not in said and r"\x1b[31mred\x07" in said and r"\u202eevil" in said


def test_every_kind_of_file_here_is_one_that_is_read():
    assert find("weight_sources", "file") and {row[0] for row in FILES.values()} == {"vit", "mobilenet", "bert"}
