"""A tokenizer from its folder: what is read without further packages, what its words are, what is printed."""

import json
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

from tests import small
from tljax.core.errors import WeightsError
from tljax.data import tokenizer
from tljax.data.tokenizer import Tokenizer

PIECES = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "\u2581good", "\u2581book", "\u2581", "s", "[MASK]")


@pytest.fixture
def folder(tmp_path):
    return small.word_tokenizer(tmp_path / "tokenizer")


def pieces(folder: Path) -> Path:
    """A tokenizer.json of pieces, as DeBERTa-v3 has them."""
    import tokenizers
    import transformers

    fast = tokenizers.Tokenizer(tokenizers.models.Unigram([(piece, -float(i)) for i, piece in enumerate(PIECES)], 3))
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "CLS", "SEP", "UNK", "MASK")}
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **names).save_pretrained(folder)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(said | {"tokenizer_class": "DebertaV2Tokenizer"}))
    (folder / "config.json").write_text(json.dumps({"model_type": "deberta-v2"}))
    return folder


def test_saved_it_is_the_same_tokenizer(folder, tmp_path):
    one = Tokenizer(folder)
    one.save(tmp_path / "model")
    other = Tokenizer(tmp_path / "model")
    assert other(["very good"], (), 9) == ([[1, 6, 4, 2]], [[0, 0, 0, 0]], 0) and other.padding == 0
    assert other.words == one.words == dict(enumerate(small.WORDS)) and other.checksum == one.checksum


def test_the_checksum_is_of_what_ids_mean(folder):
    before = Tokenizer(folder)
    file = folder / "tokenizer.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said, indent=7))
    same = Tokenizer(folder)
    assert same.checksum == before.checksum and same.fingerprint != before.fingerprint
    said["model"]["vocab"] |= {"good": 5, "bad": 4}
    file.write_text(json.dumps(said))
    assert Tokenizer(folder).checksum != before.checksum


def test_special_tokens_are_those_that_it_has(folder, tmp_path):
    assert Tokenizer(folder).special == {"pad_token_id": 0, "unk_token_id": 3}
    assert Tokenizer(pieces(tmp_path / "pieces")).special["mask_token_id"] == 8


def test_pieces_need_no_package_where_tokenizer_json_lies(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    folder = pieces(tmp_path / "pieces")
    (folder / "spm.model").write_bytes(b"not looked at")
    assert Tokenizer(folder)(["good books", "good"], (), 9)[0] == [[1, 4, 5, 7, 2], [1, 4, 2]]


@pytest.mark.parametrize("name", tokenizer.SENTENCEPIECE)
def test_pieces_alone_need_sentencepiece(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tokenizer.importlib.util, "find_spec", lambda _: None)
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(WeightsError, match=rf"is {re.escape(name)}, which only .*: pip install sentencepiece\. Or"):
        Tokenizer(tmp_path)


def test_refusals(tmp_path):
    with pytest.raises(WeightsError, match=re.escape("Set config.model.tokenizer")):
        Tokenizer(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="must be readable; it is not"):
        Tokenizer(broken)


def test_texts_that_are_cut_are_counted_and_not_warned_of(tmp_path, caplog):
    folder = small.word_tokenizer(tmp_path / "short")
    said = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(said | {"model_max_length": 4}))
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        assert Tokenizer(folder)(["very very very good"], (), 4)[2] == 1
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert caplog.messages == []


def test_threads_cut_and_count_alike(folder):
    """To cut is a state of the tokenizer, and the count is made without."""
    one, texts = Tokenizer(folder), ["very " * 30 + "good", "good"]

    def read(i):
        ids, _, cut = one(texts[i % 2 :][:1], (), 8)
        return len(ids[0]), cut

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(0, 400, 2))) == {(8, 1)}


def test_only_the_advice_on_torch_is_left_out(caplog, monkeypatch):
    logger = logging.getLogger("transformers")
    monkeypatch.setattr(logger, "propagate", False)  # as it is, but where CI is set
    logger.addHandler(caplog.handler)
    try:
        with tokenizer._without_advice_on_torch():
            logger.warning("PyTorch was not found. Models won't be available")
            logger.warning("another")
        logger.warning("PyTorch was not found, later")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == ["another", "PyTorch was not found, later"]


def test_nothing_is_printed_where_torch_is_not_installed(folder):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from importlib import metadata, util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "from pathlib import Path\n"
        "from tljax.data.tokenizer import Tokenizer\n"
        f"print(Tokenizer(Path({str(folder)!r}))(['good'], (), 9)[0])\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[[1, 4, 2]]\n", "")
