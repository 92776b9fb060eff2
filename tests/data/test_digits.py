"""The digits that come with scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from configs import default
from tljax.data.sources import digits


@pytest.mark.parametrize("channels", [1, 3])
def test_digits(channels):
    config = default.get_config().data
    config.channels = channels
    dataset = digits.load(config)
    split = dataset.splits["all"]
    assert dataset.info.classes == tuple("0123456789")
    assert len(split) == 1797 and split.labels.dtype == np.int32
    raw = load_digits()
    example = split[5]
    assert example["image"].shape == (8, 8, channels) and example["image"].dtype == np.uint8
    np.testing.assert_allclose(example["image"][..., -1] / 255, raw.images[5] / 16, atol=0.5 / 255)
    assert example["label"] == raw.target[5] == split.labels[5] and example["id"] == "digits/5"
