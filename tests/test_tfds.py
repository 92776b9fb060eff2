"""TFDS sets without TensorFlow: CIFAR-10 from a stand-in archive, sets made here, and everything that can be missing."""

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

from tljax import reach
from tljax.builders import cifar10
from tljax.data.tfds import Name, find, load
from tljax.errors import DataError

COUNTS = {"data_batch_1": 7, "data_batch_2": 5, "data_batch_3": 1, "data_batch_4": 2, "data_batch_5": 3, "test_batch": 6}


def config(root: Path, name: str = "cifar10", *, download: bool = True, channels: int = 3) -> ConfigDict:
    return ConfigDict({"name": name, "dir": str(root), "download": download, "channels": channels})


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
    def log_message(self, *args: object) -> None:
        del args


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
        monkeypatch.setattr(reach, "PAUSE", 0.0)
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


def test_the_files_are_in_the_order_of_tfds_and_say_so(prepared):
    info = json.loads((prepared / "cifar10/3.0.2/dataset_info.json").read_text())
    assert (info["name"], info["version"], info["fileFormat"]) == ("cifar10", "3.0.2", "array_record")
    stock = tfds.image_classification.Cifar10.VERSION
    assert str(stock) == cifar10.VERSION


def test_another_archive_than_the_published_one_leaves_nothing_behind(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "DIGESTS", {"md5": "c32a1d4ab5d03f1284b67883e8d83530"})
    with pytest.raises(DataError, match="md5 must be c32a1d4ab5d03f1284b67883e8d83530, got [0-9a-f]{32}"):
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
        from tljax.builders import cifar10
        cifar10.DIGESTS = {cifar10.DIGESTS}
        png, done = cifar10._png, []
        def slow(image):
            done.append(1)
            if len(done) == 20:  # in the second split: the first one is written
                print("half-way", flush=True)
                time.sleep(60)
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
    assert load(config(Path(), download=False) | {"dir": ""}).info.source == (
        f"TFDS cifar10/3.0.2 in {prepared}/cifar10/3.0.2"
    )
