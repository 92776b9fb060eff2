"""Files of several pages or frames are counted: only the first one is read."""

import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.data.picture import frames
from tljax.data.sources import image_folder

PAGES = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (10, 90, 200)]


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_several_in_a_file_are_said(tmp_path, suffix):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        PAGES[0].save(tmp_path / name / f"one.{suffix}")
    PAGES[0].save(tmp_path / "ant" / f"three.{suffix}", save_all=True, append_images=PAGES[1:])
    (tmp_path / "bee" / f"damaged.{suffix}").write_bytes(b"II*\0no picture")  # named when it is read
    config = default.get_config().data
    config.update(source="image_folder", dir=str(tmp_path), fractions=(0.5, 0.0, 0.5))
    (said,) = image_folder.load(config).info.notes
    assert said.startswith("warning: 1 of 4 files that were looked at hold several pages or frames") and "three" in said


def test_of_single_pictures_nothing_is_said(tmp_path):
    PAGES[0].save(tmp_path / "one.png")
    assert frames.notes([tmp_path / "one.png", tmp_path / "gone.png", tmp_path / "x.jpg"]) == ()
