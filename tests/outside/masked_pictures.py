"""A source of one's own, outside the package: <data.dir>/images/<name>.<suffix> and <data.dir>/masks/<name>.png.

A mask holds 0 for the ground and 1, 2, ... for what stands on it, each by itself; here they are one class.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tljax.core.options import Option
from tljax.core.types import IGNORED, Dataset, Info
from tljax.data import pictures

OPTIONS = {"dir": Option("", "The folder that holds images/ and masks/.")}


class Masked:
    labels = None  # loaded with each example

    def __init__(self, root: Path) -> None:
        self.files = sorted((root / "images").iterdir())
        self.masks = root / "masks"

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        file = self.files[index]
        mask = np.asarray(Image.open(self.masks / f"{file.stem}.png"))
        label = np.where(mask == IGNORED, IGNORED, mask > 0).astype(np.uint8)
        return {"image": pictures.read(file), "label": label, "id": file.stem}


def load(config: Any) -> Dataset:
    return Dataset({"all": Masked(Path(config.dir))}, Info(("ground", "thing"), config.dir, labels="maps"))
