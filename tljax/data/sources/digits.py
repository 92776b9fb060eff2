"""scikit-learn's 1,797 handwritten digits, 8x8, one channel: real data from an installed package.

Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits"; grey levels 0..16 become 0..255.
"""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core.types import Dataset, Info, Record


class Digits:
    """All pictures, in memory; with 3 channels these are equal, for networks that expect colour."""

    def __init__(self, channels: int) -> None:
        from sklearn.datasets import load_digits

        raw: Any = load_digits()
        grey = (raw.images * (255 / 16)).round().astype(np.uint8)
        self.images = np.repeat(grey[..., None], channels, axis=-1)  # (N, 8, 8, C)
        self.labels = raw.target.astype(np.int32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Record:
        return {"image": self.images[index], "label": int(self.labels[index]), "id": f"digits/{index}"}


def load(config: ConfigDict) -> Dataset:
    """One split, "all"; `data.fractions` divides it."""
    return Dataset({"all": Digits(config.channels)}, Info(tuple("0123456789"), "scikit-learn load_digits"))
