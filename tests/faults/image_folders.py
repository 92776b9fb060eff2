"""Faults of pictures and their folders: cases 28 and 45 to 54, and section A of issue 13."""

import io
import os
import shutil
import struct
import zlib

import numpy as np
from PIL import Image

from tests.faults.making import (
    CONFIG,
    DATA,
    DIGITS,
    FULL,
    PICTURES,
    TWO,
    Fault,
    Scene,
    classes_of,
    pictures,
    result,
    run,
    with_pictures,
    with_weights,
)  # fmt: skip

SIX = bytes.fromhex("457869660000 4d4d002a00000008 0001 0112 0003 00000001 00060000 00000000")  # EXIF: orientation 6
# what people have -> (how Pillow saves it, suffix); each must be read
KINDS = {
    "CMYK": (Image.new("CMYK", (9, 9), (0, 200, 200, 0)), ".jpg", {}),
    "palette": (Image.new("P", (9, 9), 3), ".png", {}),
    "grey": (Image.new("L", (9, 9), 90), ".jpg", {}),
    "grey with transparency": (Image.new("LA", (9, 9), (90, 0)), ".png", {}),
    "transparency": (Image.new("RGBA", (9, 9), (90, 1, 2, 128)), ".png", {}),
    "16 bits": (Image.fromarray(np.linspace(0, 65535, 81).reshape(9, 9).astype(np.uint16)), ".png", {}),
    "rotated": (Image.new("RGB", (9, 12), (9, 1, 2)), ".jpg", {"exif": SIX}),
}  # fmt: skip
# what cannot be read -> its bytes
UNREADABLE = {
    "empty": b"",
    "a text": b"this is no picture",
    "float TIFF": None,
    "GIF as JPEG cut": b"GIF89a",
    "web page": b"<!DOCTYPE html>",
}


def saved(image, suffix, **more) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}[suffix], **more)
    return buffer.getvalue()


def kinds(folder) -> None:
    for name, (image, suffix, more) in KINDS.items():
        (folder / "train/ant" / f"{name}{suffix}").write_bytes(saved(image, suffix, **more))


def unreadable(folder) -> None:
    for name, content in UNREADABLE.items():
        content = saved(Image.new("F", (9, 9), 0.5), ".tif") if content is None else content
        (folder / "train/ant" / f"{name}.{'tif' if 'TIFF' in name else 'jpg'}").write_bytes(content)


def many_unreadable(folder) -> None:
    for i in range(100):
        (folder / "train/ant" / f"bad{i}.jpg").write_bytes(b"no picture")


def bomb(width: int, height: int) -> bytes:
    """A PNG of so many pixels in a few KB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer, rows = zlib.compressobj(9), []
    for _ in range(height):
        rows.append(packer.compress(b"\0" * (width + 1)))
    body = b"".join(rows) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def put(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def lies(folder) -> None:
    """A header of 60,000 x 60,000 pixels, and little behind it."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + head
    content = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + bomb(9, 9)[33:]
    )
    (folder / "train/ant/huge.png").write_bytes(content)


def make(name: str):
    return lambda folder: (folder / name).mkdir()


def more(name: str, number: int):
    return lambda folder: pictures(folder.parent, {name: number}, seed=7)


def leftovers(folder) -> None:
    for name in (".DS_Store", "train/.DS_Store", "train/ant/Thumbs.db", "train/ant/._0.png"):
        (folder / name).write_bytes(b"\0\5\26\7")
    (folder / "train/ant/0.png").rename(folder / "train/ant/0.PNG")
    os.symlink(folder / "train", folder / "train/ant/again", target_is_directory=True)
    (folder / "__MACOSX/train/ant").mkdir(parents=True)
    (folder / "Annotations/ant").mkdir(parents=True)
    (folder / "Annotations/ant/1.mat").write_bytes(b"x")


def leak(folder) -> None:
    for i in range(2):
        shutil.copy(folder / f"train/ant/{i}.png", folder / f"test/ant/{i}.png")


def escaping(scene: Scene) -> list[str]:
    pictures(scene.root, TWO)
    pictures(scene.root / "other", {"secret/ant": 2, "secret/bee": 2})
    return [*PICTURES, "--config.data.splits.test=../other/pictures/secret"]


def gone_after_the_start(scene: Scene) -> list[str]:
    """A picture that was readable when the run began and is not when it is decoded again."""
    from tljax.reporting.report import Report

    pictures(scene.root, TWO)
    advance = Report.advance

    def spoil(report, step):
        advance(report, step)
        for file in (scene.root / "pictures/train").rglob("*.png"):
            file.write_bytes(b"")

    scene.patch.setattr(Report, "advance", spoil)
    return [*PICTURES, "--config.data.in_memory=false", "--config.train.epochs=30", "--config.data.duplicates=keep"]


def wrong_labels(scene: Scene) -> list[str]:
    from tljax.data.sources import digits

    read = digits.Digits.__init__

    def broken(self, *arguments):
        read(self, *arguments)
        self.labels[3], self.labels[5] = 10, -1

    scene.patch.setattr(digits.Digits, "__init__", broken)
    return list(DIGITS)


def asked(scene: Scene) -> list[str]:
    """`predict` on a folder with one picture that cannot be read."""
    pictures(scene.root, TWO)
    run(scene, PICTURES)
    (scene.root / "pictures/test/ant/odd.png").write_bytes(b"no")
    return ["predict", "run", "pictures/test"]


def of_patients(scene: Scene) -> list[str]:
    """Two pictures a person; folds that know no persons are not there."""
    pictures(scene.root, {"train/ant": 8, "train/bee": 8, "test/ant": 2, "test/bee": 2})
    for file in sorted((scene.root / "pictures").rglob("*.png")):
        part, name = file.parts[-3:-1]
        file.rename(file.with_name(f"{part}{name}{int(file.stem) // 2}_{file.name}"))
    with_weights(dict)(scene)
    scene.patch.setattr("tljax.transfer.classifiers.StratifiedKFold", None)
    return [*PICTURES, *FULL[1:], "--config.strategy.name=classic", "--config.data.group=/([a-z]+[0-9]+)_"]


def skipped(scene: Scene) -> None:
    lines = (scene.root / "run/skipped.txt").read_text().splitlines()
    assert len(lines) == len(UNREADABLE) and result(scene)["counts"]["train"] == 12


def listed(scene: Scene) -> None:
    assert "ant/1.png" in (scene.root / "run/copies.txt").read_text()


def in_order(scene: Scene) -> None:
    assert classes_of(scene) == ["1", "2", "10"]


def alone(scene: Scene) -> list[str]:
    pictures(scene.root, {"train/ant": 6, "test/ant": 2})
    return list(PICTURES)


NUMBERS = {f"{part}/{name}": number for part, number in (("train", 4), ("test", 2)) for name in ("1", "2", "10")}

CASES = {
    "28 a picture that is gone while the run decodes": Fault(
        gone_after_the_start, DATA, ["pictures/train/", ".png"], writes=True
    ),
    "45 every kind of picture": Fault(
        with_pictures(kinds, "--config.data.resize=8"), 0, ["19 train, 4 test", "result:"]
    ),
    "45 what is no picture": Fault(
        with_pictures(unreadable), DATA, ["5 of 17 are not:", "empty.jpg", "a text.jpg", "unreadable=skip"]
    ),
    "46 pictures that are left out": Fault(
        with_pictures(unreadable, "--config.data.unreadable=skip"), 0, ["skipped 5 (all in skipped.txt)"], skipped
    ),
    "46 a hundred that cannot be read": Fault(
        with_pictures(many_unreadable),
        DATA,
        ["100 of 112 are not:", "lines more", "All of this message is in", "unreadable=skip"],
    ),
    "47 a bomb": Fault(
        with_pictures(put("train/ant/bomb.png", bomb(12_000, 9_000))), DATA, ["bomb.png", "data.max_pixels"]
    ),
    "47 a header that lies": Fault(with_pictures(lies), DATA, ["huge.png", "data.max_pixels"]),
    "47 one pixel, and a strip": Fault(
        with_pictures(
            lambda folder: [
                put("train/ant/1x1.png", bomb(1, 1))(folder),
                put("train/ant/strip.png", bomb(20_000, 10))(folder),
            ],
            "--config.data.resize=8",
        ),
        0,
        ["14 train"],
    ),
    "48 a class of test alone": Fault(with_pictures(more("test/cat", 2)), DATA, ["only in other splits: test: cat"]),
    "48 a class without pictures": Fault(with_pictures(make("train/cat")), DATA, ["empty: train/cat"]),
    "49 numbers as names": Fault(with_pictures(lambda _: None, folders=NUMBERS), 0, ["1 4, 2 4, 10 4"], in_order),
    "50 labels out of range": Fault(
        wrong_labels, DATA, ["Labels must be 0 to 9", "2 are not: example 3: 10, example 5: -1"]
    ),
    "51 an empty part": Fault(
        with_pictures(lambda folder: shutil.rmtree(folder / "test")),
        CONFIG,
        ["config.data.splits must", "test='test'", "fractions"],
    ),
    "51 one class": Fault(alone, DATA, ["class", "ant"]),
    "51 less than a batch": Fault(
        with_pictures(lambda _: None, "--config.train.batch_size=400"),
        0,
        ["a batch holds 400 examples and train 12", "config.train.batch_size=6"],
    ),
    "52 the same picture in two parts": Fault(
        with_pictures(leak),
        0,
        ["2 of 4 test pictures are also in train", "copies.txt", "data.duplicates=remove"],
        listed,
    ),
    "52 the same picture, and no patience": Fault(
        with_pictures(leak, "--config.data.duplicates=error"), DATA, ["2 of 4 test pictures", "pictures/test/ant/0.png"]
    ),
    "53 what programs leave behind": Fault(with_pictures(leftovers), 0, ["12 train, 4 test", "result:"]),
    "54 a split outside of the folder": Fault(
        escaping, CONFIG, ["config.data.splits must name different splits of pictures", "../other/pictures/secret"]
    ),
    "19 predict beside a bad picture": Fault(
        asked, DATA, ["pictures/test/ant/0.png", "pictures/test/bee/1.png", "1 of 5 are not:", "odd.png"]
    ),
    "5 folds of persons": Fault(of_patients, 0, ["in cross-validation", "result:"]),
    "3 one class under two names": Fault(with_pictures(more("train/ant ", 2)), DATA, ["'ant '", "data.similar_labels"]),
    "1 weights that saw another size": Fault([*DIGITS, "--config.data.size=1"], CONFIG, ["Pictures must be larger"]),
}
