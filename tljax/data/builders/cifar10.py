"""CIFAR-10 (Krizhevsky 2009) from its official binary archive: https://www.cs.toronto.edu/~kriz/cifar.html.

50,000 + 10,000 pictures, 32 x 32 x 3. The environment variable TLJAX_CIFAR10_URL names another folder (a mirror) of
`cifar-10-binary.tar.gz`; a file from there must have the published digests too.
"""

import contextlib
import io
import itertools
import math
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from tljax.core import downloads
from tljax.core.errors import DataError
from tljax.core.types import Record

VERSION = "3.0.2"
FOLDER = "https://www.cs.toronto.edu/~kriz"
FILE = "cifar-10-binary.tar.gz"
DIGESTS = {
    "md5": "c32a1d4ab5d03f1284b67883e8d83530",  # of the homepage
    "sha256": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",  # of TFDS: url_checksums/cifar10.txt
}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
INSIDE = "cifar-10-batches-bin"  # the archive's folder
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
CHANNELS_FIRST = (3, 32, 32)


def url() -> str:
    """The address of the archive."""
    return f"{os.environ.get('TLJAX_CIFAR10_URL', FOLDER).rstrip('/')}/{FILE}"


def archive(root: Path) -> Path:
    """The path of the archive; the user may put it there by hand."""
    return root / "downloads" / "cifar10" / FILE


def prepare(root: Path) -> None:
    """Write `root/cifar10/<VERSION>` as array_record; the archive is downloaded if it does not exist.

    Raises:
      DataError: the archive cannot be downloaded or is not the published one, or the set cannot be written.
    """
    home = root / "cifar10"
    try:
        home.mkdir(parents=True, exist_ok=True)
        # The lock is released when its process ends, also after a kill. A second run waits, and then finds the set.
        with filelock.FileLock(home / ".lock"):
            if not (home / VERSION).exists():
                for left_over in home.glob("incomplete.*"):  # of a run that was killed
                    shutil.rmtree(left_over)
                downloads.fetch(url(), archive(root), digests=DIGESTS)
                _write(root)
    except OSError as error:
        raise DataError(f"Preparing cifar10 must be able to write 300 MB to '{root}': {error}.") from error


def _write(root: Path) -> None:
    """Let TFDS write the set into a folder with another name, which is renamed when it is complete."""
    builder = Cifar10(data_dir=root, file_format="array_record")
    builder.archive = archive(root)
    tfds.disable_progress_bar()  # it has three nested bars and prints to stdout; our own bar is in _generate_examples
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    finally:
        tfds.enable_progress_bar()


class Cifar10(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The features, keys and order of TFDS's `cifar10`, whose own builder needs TensorFlow to encode PNG."""

    VERSION = tfds.core.Version(VERSION)
    name = "cifar10"
    archive: Path

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="60,000 colour pictures of 32 x 32 pixels in 10 classes: 50,000 for training, 10,000 for test.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(32, 32, 3)),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Record]]]:
        del dl_manager  # it cannot use a mirror or check an md5
        return {split: self._generate_examples(split) for split in FILES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, Record]]:
        with (
            tarfile.open(self.archive) as tar,
            downloads.progress(f"cifar10 {split}", None, unit=" pictures") as bar,
        ):
            rows = itertools.chain.from_iterable(_rows(tar, f"{INSIDE}/{file}") for file in FILES[split])
            for index, row in enumerate(rows):
                image = row[1:].reshape(CHANNELS_FIRST).transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
                yield index, {"id": f"{split}_{index:05d}", "image": _png(image), "label": int(row[0])}
                bar.update()


def _rows(tar: tarfile.TarFile, name: str) -> np.ndarray:
    """(N, 1 + C * H * W) uint8: a row is a byte for the label, then the red, green and blue planes."""
    file = tar.extractfile(name)
    assert file is not None, f"{name} is a file in the archive that has the published digests"
    return np.frombuffer(file.read(), np.uint8).reshape(-1, 1 + math.prod(CHANNELS_FIRST))


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
