"""TFDS sets without TensorFlow: CIFAR-10 from a stand-in archive, sets made here, and all that can be missing."""

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from configs import default
from tljax.core import downloads
from tljax.core.errors import DataError
from tljax.data.builders import cifar10
from tljax.data.parts import splits
from tljax.data.sources.tfds import Name, find, load

COUNTS = {
    "data_batch_1": 7,
    "data_batch_2": 5,
    "data_batch_3": 1,
    "data_batch_4": 2,
    "data_batch_5": 3,
    "test_batch": 6,
}


def config(root: Path | str, name: str = "cifar10", **changes: Any) -> ConfigDict:
    data = default.get_config().data
    data.update(name=name, dir=str(root), **changes)
    return data


def published() -> tuple[dict[str, tuple[np.ndarray, int]], bytes]:
    """Random pictures, id -> ((32, 32, 3) uint8, label), and the archive that holds them in the official layout."""
    rng, pictures, buffer = np.random.default_rng(0), {}, io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for file, count in COUNTS.items():
            images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
            labels = rng.integers(0, 10, count)
            split = file.split("_")[0].replace("data", "train")
            for image, label in zip(images, labels, strict=True):
                index = sum(name.startswith(split) for name in pictures)
                pictures[f"{split}_{index:05d}"] = (image, int(label))
            data = b"".join(
                bytes([int(label)]) + b"".join(image[:, :, channel].tobytes() for channel in range(3))
                for image, label in zip(images, labels, strict=True)
            )
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{file}.bin")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return pictures, buffer.getvalue()


PICTURES, ARCHIVE = published()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """A mirror that serves ARCHIVE, under the digests that ARCHIVE has."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / cifar10.FILE).write_bytes(ARCHIVE)
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TLJAX_CIFAR10_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(cifar10, "DIGESTS", {"md5": hashlib.md5(ARCHIVE).hexdigest()})
        monkeypatch.setattr(downloads, "PAUSE", 0.0)
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFDS folder in which CIFAR-10 was prepared, by way of an archive put there by hand."""
    root = tmp_path_factory.mktemp("tfds")
    cifar10.archive(root).parent.mkdir(parents=True)
    cifar10.archive(root).write_bytes(ARCHIVE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "DIGESTS", {"md5": hashlib.md5(ARCHIVE).hexdigest()})
        cifar10.prepare(root)
    return root


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The mirror is a port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TLJAX_CIFAR10_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        yield f"127.0.0.1:{closed.getsockname()[1]}"


def assert_holds_the_pictures(root: Path) -> None:
    dataset = load(config(root))
    assert dataset.info.classes == tuple(cifar10.CLASSES)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 18, "test": 6}
    seen = {}
    for split in dataset.splits.values():
        assert split.labels.dtype == np.int32
        for index, label in enumerate(split.labels):
            example = split[index]
            assert example["label"] == label
            seen[example["id"]] = (example["image"], example["label"])
    assert seen.keys() == PICTURES.keys()
    for name, (image, label) in PICTURES.items():
        np.testing.assert_array_equal(seen[name][0], image)
        assert seen[name][1] == label


def test_download_prepare_and_load_give_the_pictures_that_were_put_in(mirror, tmp_path):
    assert_holds_the_pictures(tmp_path / "tfds")
    assert "tensorflow" not in sys.modules


def test_the_second_load_needs_neither_network_nor_archive(prepared, offline, tmp_path):
    shutil.copytree(prepared, tmp_path / "tfds")
    shutil.rmtree(tmp_path / "tfds" / "downloads")
    assert_holds_the_pictures(tmp_path / "tfds")


def test_an_archive_put_there_by_hand_needs_no_network(offline, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "DIGESTS", {"md5": hashlib.md5(ARCHIVE).hexdigest()})
    cifar10.archive(tmp_path).parent.mkdir(parents=True)
    cifar10.archive(tmp_path).write_bytes(ARCHIVE)
    assert_holds_the_pictures(tmp_path)


def test_the_set_is_written_as_tfds_would_name_it(prepared):
    info = json.loads((prepared / "cifar10/3.0.2/dataset_info.json").read_text())
    assert (info["name"], info["fileFormat"]) == ("cifar10", "array_record")
    assert info["version"] == str(tfds.image_classification.Cifar10.VERSION)


def test_another_archive_than_the_published_one_leaves_nothing_behind(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "DIGESTS", {"md5": "c32a1d4ab5d03f1284b67883e8d83530"})
    message = "(?s)md5 must be c32a1d4ab5d03f1284b67883e8d83530, got [0-9a-f]{32}.*--config.data.source=image_folder"
    with pytest.raises(DataError, match=message):
        load(config(tmp_path / "tfds"))
    left = [path for path in (tmp_path / "tfds").rglob("*") if path.is_file()]
    assert [path.name for path in left] == [".lock"]


def test_a_truncated_archive_is_refused_and_its_repair_is_enough(mirror, tmp_path):
    (tmp_path / "www" / cifar10.FILE).write_bytes(ARCHIVE[:-100])
    with pytest.raises(DataError, match="must be the published file"):
        load(config(tmp_path / "tfds"))
    assert find(Name.of("cifar10"), tmp_path / "tfds") is None
    (tmp_path / "www" / cifar10.FILE).write_bytes(ARCHIVE)
    assert_holds_the_pictures(tmp_path / "tfds")


def test_a_run_killed_while_preparing_leaves_nothing_that_looks_prepared(mirror, tmp_path):
    root = tmp_path / "tfds"
    slow = f"""
        import sys, time
        from pathlib import Path
        from tljax.data.builders import cifar10
        cifar10.DIGESTS = {cifar10.DIGESTS}
        png, done = cifar10._png, []
        def slow(image):
            done.append(1)
            if len(done) == 20:  # in the second split: the first one is written
                print("half-way", file=sys.__stdout__, flush=True)
                time.sleep(30)
            return png(image)
        cifar10._png = slow
        cifar10.prepare(Path({str(root)!r}))
    """
    command = [sys.executable, "-c", textwrap.dedent(slow)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "half-way\n"
        os.kill(run.pid, signal.SIGKILL)
    assert list((root / "cifar10").glob("incomplete.*/*")) != []  # it was at work
    assert find(Name.of("cifar10"), root) is None
    assert_holds_the_pictures(root)
    assert sorted(path.name for path in (root / "cifar10").iterdir()) == [".lock", "3.0.2"]


def test_a_disk_that_takes_nothing_is_an_error_of_the_data(mirror, tmp_path):
    (tmp_path / "tfds").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="must be able to write 300 MB to"):
        load(config(tmp_path / "tfds"))


@pytest.mark.parametrize(("listening", "why"), [(False, "Connection refused"), (True, "no answer within 1.5 s")])
def test_without_network_the_error_comes_at_once_and_says_what_helps(tmp_path, monkeypatch, listening, why):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("TLJAX_CIFAR10_URL", f"http://{address}")
        start = time.monotonic()
        with pytest.raises(DataError) as raised:
            load(config(tmp_path))
        assert time.monotonic() - start < 2.5
    assert str(raised.value).splitlines() == [
        f"TFDS set 'cifar10' is not prepared: looked for {tmp_path}/cifar10/*.",
        f"Nor can it be downloaded from {address}: {why}.",
        f"Put its archive at {tmp_path}/downloads/cifar10/cifar-10-binary.tar.gz, or use your own pictures:",
        "  --config.data.source=image_folder --config.data.dir=<folder with train/ and test/>",
    ]


def test_a_download_that_is_switched_off_is_not_tried(mirror, tmp_path):
    with pytest.raises(DataError, match=r"Nor can it be downloaded from 127.*: config\.data\.download is off"):
        load(config(tmp_path, download=False))


def test_the_folder_is_that_of_the_environment_unless_one_is_given(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert load(config("", download=False)).info.source == f"TFDS cifar10/3.0.2 in {prepared}/cifar10/3.0.2"


FOLDERS = [
    "one/1.0.0",
    "one/2.9.0",
    "one/2.10.0",
    "one/incomplete.ABC_3.0.0",
    "two/a/1.0.0",
    "two/b/1.0.0",
    "solo/x/1.0.0",
]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("one", "one/2.10.0"),
        ("one:2.9.*", "one/2.9.0"),
        ("one/1.*.*", "one/1.0.0"),
        ("one:1.0.0", "one/1.0.0"),
        ("one:3.*.*", None),
        ("two/b", "two/b/1.0.0"),
        ("two/b:2.*.*", None),
        ("solo", "solo/x/1.0.0"),
        ("none", None),
    ],
)
def test_a_name_means_the_newest_prepared_version_that_it_allows(tmp_path, name, folder):
    for place in FOLDERS:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "dataset_info.json").touch()
    assert find(Name.of(name), tmp_path) == (folder and tmp_path / folder)


def test_a_set_with_several_configs_needs_one_named(tmp_path):
    for place in FOLDERS:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "dataset_info.json").touch()
    with pytest.raises(DataError, match="which of the prepared configs is meant: two/a, two/b"):
        load(config(tmp_path, "two"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no such set", "must be a TFDS name: .* got 'no such set'"),
        ("cifar10/3", "must be a TFDS name"),
        ("mnist", r"(?s)'mnist' is not prepared.*Only cifar10 can be prepared without TensorFlow.*builder\('mnist'"),
        ("cifar10:2.*.*", r"The builder here makes 'cifar10:3\.0\.2'"),
        ("cifar10/plain", r"The builder here makes 'cifar10:3\.0\.2'"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_there_is(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        load(config(tmp_path, name))
    assert list(tmp_path.iterdir()) == []


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Any few examples."""

    VERSION = tfds.core.Version("1.0.0")
    name = "tiny"
    columns: Any
    examples: list[dict[str, Any]]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=self.columns)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager
        return {"train": enumerate(self.examples)}

    def _generate_examples(self) -> None: ...


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
CLASSES = tfds.features.ClassLabel(names=["cat", "dog"])


def tiny(root: Path, examples: list[dict[str, Any]], **columns: Any) -> Path:
    made = type("Tiny", (Tiny,), {"columns": tfds.features.FeaturesDict(columns)}, skip_registration=True)
    builder = made(data_dir=root, file_format="array_record")
    builder.examples = examples
    builder.download_and_prepare()
    return root / "tiny" / "1.0.0"


def test_a_set_of_grey_pictures_without_names(tmp_path):
    picture = tfds.features.Image(shape=(None, None, 1))
    tiny(tmp_path, [{"image": png(GREY), "label": "dog"}], image=picture, label=CLASSES)
    dataset = load(config(tmp_path, "tiny", channels=1))
    example = dataset.splits["train"][0]
    np.testing.assert_array_equal(example.pop("image"), GREY[..., None])
    assert example == {"label": 1, "id": "train/0"}
    assert dataset.info.classes == ("cat", "dog")


@pytest.mark.parametrize(
    "columns",
    [
        {"words": tfds.features.Text(), "label": CLASSES},
        {"text": tfds.features.Text(), "label": tfds.features.Text()},
        {"image": tfds.features.Image(), "label": tfds.features.Text()},
        {"image": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16), "label": CLASSES},
    ],
    ids=["neither", "no label", "no classes", "16 bits"],
)
def test_a_set_without_pictures_or_texts_and_labels_is_refused_with_its_features(tmp_path, columns):
    example = {"text": "hello", "words": "hello", "image": png(GREY), "label": "cat"}
    tiny(tmp_path, [{key: example[key] for key in columns}], **columns)
    with pytest.raises(DataError, match=r"(?s)'tiny/1\.0\.0' must have the features.*it has:.*'label': ") as raised:
        load(config(tmp_path, "tiny"))
    assert all(f"'{key}'" in str(raised.value) for key in columns)


def test_a_label_that_is_no_class_is_an_error_of_that_split(tmp_path):
    examples = [{"image": png(GREY), "label": label} for label in (0, -1)]
    tiny(tmp_path, examples, image=tfds.features.Image(), label=CLASSES)
    split = load(config(tmp_path, "tiny")).splits["train"]
    with pytest.raises(DataError, match=r"(?s)must be in 0\.\.1, but 1 of 2 are not \(example \d: -1\)"):
        _ = split.labels


def test_a_picture_that_cannot_be_decoded_is_a_value_error(tmp_path):
    tiny(tmp_path, [{"image": png(GREY)[:40], "label": 0}], image=tfds.features.Image(), label=CLASSES)
    with pytest.raises(ValueError, match="not a whole picture"):
        load(config(tmp_path, "tiny")).splits["train"][0]


def test_a_damaged_record_file_is_an_error_of_the_data(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "tfds")
    (file,) = (tmp_path / "tfds/cifar10/3.0.2").glob("*train.array_record*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    split = load(config(tmp_path / "tfds")).splits["train"]
    with pytest.raises(DataError, match="(?s)Split 'train': the records 0..17 must be readable.*prepare it again"):
        _ = split.labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "must be a prepared TFDS set; reading it failed"),
        (lambda text: text.replace("array_record", "tfrecord"), "must be prepared as array_record, .*; it is tfrecord"),
    ],
    ids=["cut", "tfrecord"],
)
def test_a_set_that_cannot_be_opened_is_named(prepared, tmp_path, change, message):
    shutil.copytree(prepared, tmp_path / "tfds")
    file = tmp_path / "tfds/cifar10/3.0.2/dataset_info.json"
    file.write_text(change(file.read_text()))
    with pytest.raises(DataError, match=message):
        load(config(tmp_path / "tfds"))


GLUE = {"sentence1": tfds.features.Text(), "sentence2": tfds.features.Text(), "idx": np.int32}
PAIRS = [("Ein Satz.", "zwei", 0), ("a", "größer", 1), ("b", "c", -1)]
COLUMNS = {"text": "sentence1", "pair": "sentence2", "label": "label"}
ALL = {"columns": COLUMNS, "fractions": (0.5, 0.0, 0.5)}


def glue(root: Path, label: Any, values: list[Any]) -> None:
    """Pairs as TFDS has GLUE's, with labels of this feature."""
    rows = zip(PAIRS, values, strict=False)
    examples = [{"sentence1": a, "sentence2": b, "idx": i, "label": v} for i, ((a, b, _), v) in enumerate(rows)]
    tiny(root, examples, **GLUE, label=label)


def seen(dataset: Any) -> dict[str, Any]:
    """First text -> its pair and its label, of the split "train"."""
    rows = (dataset.splits["train"][i] for i in range(len(dataset.splits["train"])))
    return {row["text"]: (row["pair"], np.asarray(row["label"]).tolist()) for row in rows}


def test_pairs_of_texts_with_a_class_a_number_or_a_set(tmp_path):
    labels = {
        "classes": (CLASSES, [0, 1], ("cat", "dog"), [0, 1]),
        "numbers": (np.float32, [2.5, 4.0], ("label",), [[2.5], [4.0]]),
        "sets": (tfds.features.Sequence(CLASSES), [["dog", "cat"], []], ("cat", "dog"), [[True, True], [False, False]]),
    }
    for kind, (feature, values, names, expected) in labels.items():
        glue(tmp_path / kind, feature, values)
        dataset = load(config(tmp_path / kind, "tiny", **ALL))
        assert (dataset.info.classes, dataset.info.labels) == (names, kind)
        assert seen(dataset) == {"Ein Satz.": ("zwei", expected[0]), "a": ("größer", expected[1])}


def test_a_text_without_a_pair_and_a_vector_of_numbers(tmp_path):
    vector = tfds.features.Tensor(shape=(2,), dtype=np.float32)
    glue(tmp_path, vector, [[1.0, 2.0], [3.0, 4.0]])
    dataset = load(config(tmp_path, "tiny", **ALL | {"columns": COLUMNS | {"pair": ""}}))
    assert dataset.info.classes == ("label 0", "label 1")
    assert seen(dataset) == {"Ein Satz.": ("", [1.0, 2.0]), "a": ("", [3.0, 4.0])}


def test_texts_that_are_not_labelled_are_an_error_of_a_split_that_is_used(tmp_path):
    glue(tmp_path, CLASSES, [0, 1, -1])
    with pytest.raises(
        DataError, match=r"(?s)Split 'train': .* in 0\.\.1, but 1 are not \(example \d: -1\).*config.data.splits"
    ):
        load(config(tmp_path, "tiny", **ALL))


def test_only_the_splits_that_the_config_names_are_read():
    named = config("", splits={"train": "train", "validation": "", "test": "validation"}, targets=("far",))
    names = ("train", "validation", "test", "far", "near")
    assert splits.used(names, named) == ["train", "validation", "far"]
    assert splits.used(names, config("", fractions=(0.5, 0, 0.5), divide=("test",))) == ["test"]
    assert splits.used(names, config("", fractions=(0.5, 0, 0.5))) == list(names)


def test_pictures_with_numbers_and_with_sets(tmp_path):
    for kind, feature, values, expected in (
        ("numbers", np.float32, [0.5, 2.0], [[0.5], [2.0]]),
        ("sets", tfds.features.Sequence(CLASSES), [["dog"], ["dog", "cat"]], [[False, True], [True, True]]),
    ):
        examples = [{"image": png(GREY + i), "label": value} for i, value in enumerate(values)]
        tiny(tmp_path / kind, examples, image=tfds.features.Image(shape=(None, None, 1)), label=feature)
        dataset = load(config(tmp_path / kind, "tiny", channels=1))
        split = dataset.splits["train"]
        found = {int(split[i]["image"].min()): split.labels[i].tolist() for i in range(2)}
        assert found == dict(enumerate(expected)) and dataset.info.labels == kind
