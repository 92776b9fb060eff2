"""Detection: which stages it reads, what it counts, and whole runs on pictures of bright squares."""

import collections
import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from configs import default
from tests import small
from tljax.__main__ import main
from tljax.core import settings
from tljax.core.errors import ConfigError, DataError
from tljax.core.types import NO_BOX
from tljax.networks.families import mobilenet, resnet, vit
from tljax.networks.vision_transformer import Variant
from tljax.runs.run import run
from tljax.serving import labelled, saved_model
from tljax.tasks import detection

PICTURES, SIDE = 24, 32


def squares(root):
    """Photographs of grey noise with one to three squares each, red ones and blue ones, and their COCO json."""
    rng, images, annotations = np.random.default_rng(0), [], []
    (root / "images").mkdir(parents=True)
    for i in range(PICTURES):
        image = rng.integers(60, 120, (SIDE, SIDE + 4, 3), np.uint8)
        for j in range(0 if i == 3 else rng.integers(1, 4)):  # the fourth picture has none
            side, corner = rng.integers(7, 11), (rng.integers(0, 21), 2 + j * 11)
            kind = rng.integers(0, 2)
            image[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = (20, 20, 20)
            image[corner[0] : corner[0] + side, corner[1] : corner[1] + side, 2 * kind] = 250
            box = [*map(int, (corner[1], corner[0], side, side))]
            one = {"image_id": i, "category_id": int(kind), "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1} | one)
        Image.fromarray(image).save(root / "images" / f"{i:02}.png")
        images.append({"id": i, "file_name": f"{i:02}.png", "width": SIDE + 4, "height": SIDE})
    categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "blue"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "boxes.json").write_text(json.dumps(content))
    return root / "boxes.json"


def make_config(file, **changes):
    one = default.get_config()
    one.data.update(source="coco", dir=str(file), fractions=(0.5, 0.25, 0.25), shape=(40, 40), flip=True)
    one.model.update(family="resnet", variant="tiny")
    one.model.card.update(mean=(0.4,) * 3, std=(0.2,) * 3)
    one.task.name, one.strategy.name = "detection", "scratch"
    one.task.update(stages=("stage1", "stage2"), width=32, depth=1, extra_levels=0, detections=10, candidates=100)
    one.optimizer.update(name="adam", lr=5e-3)
    one.train.update(epochs=40.0, batch_size=4, eval_batch_size=8, log_steps=1, eval_epochs=20.0, checkpoint_epochs=20)
    return small.changed(one, changes)


@pytest.fixture(scope="module", autouse=True)
def tiny():
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(resnet.VARIANTS, "tiny", small.TINY)
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    file = squares(root)
    return run(make_config(file), root / "run"), root / "run", file


def test_it_finds_squares(ran):
    result, folder, _ = ran
    assert result["metric"] == "AP" and result["counts"] == {"train": 12, "validation": 6, "test": 6}
    assert result["metrics"]["test"]["AP50"] > 0.5 > result["metrics"]["test"]["AP"] > 0.1
    losses = small.losses(folder)
    assert losses[-3:].mean() < losses[:3].mean() / 2
    row = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    parts = [row[f"loss_{name}"] for name in ("classes", "boxes", "centre")]
    assert sum(parts) == pytest.approx(row["loss"], rel=1e-5)
    lines = (folder / "report" / "test_per_class.csv").read_text().splitlines()
    assert lines[0] == "class,AP,AP50,AP75,boxes,answers" and [line.split(",")[0] for line in lines[1:]] == [
        "red",
        "blue",
    ]
    mean = np.mean([float(line.split(",")[1]) for line in lines[1:]])
    assert mean == pytest.approx(result["metrics"]["test"]["AP"], abs=1e-4)
    assert (folder / "report" / "test_precision_recall.png").exists()


@pytest.mark.page
@pytest.mark.renders
def test_the_page_shows_curves_and_the_worst_pictures_with_their_boxes(ran):
    result, folder, file = ran
    assert main(["report", str(folder)]) == 0
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert re.search(r'alt="Precision over recall: red AP50 [01]\.\d\d, blue AP50 [01]\.\d\d\."', page)
    pictures = dict(re.findall(r'alt="images/(\d\d)\.png: boxes there: (\d)"', page))
    truth = collections.Counter(one["image_id"] for one in json.loads(file.read_text())["annotations"])
    assert len(pictures) == result["counts"]["test"]
    assert {int(i): int(number) for i, number in pictures.items()} == {int(i): truth[int(i)] for i in pictures}
    scores = [float(x) for x in re.findall(r"F1 at IoU 0\.5 \(boxes with a score of 0\.4 or more\) ([01]\.\d+)", page)]
    assert len(scores) == len(pictures) and min(scores) == scores[0]


def test_evaluate_gives_the_numbers_of_the_run(ran, capsys):
    result, folder, file = ran
    main(["evaluate", str(folder), "--json"])
    found = json.loads(capsys.readouterr().out)
    for name, value in result["metrics"]["test"].items():
        assert found["metrics"][name] == pytest.approx(value, abs=1e-5)
    assert [row["class"] for row in found["per_class"]] == ["red", "blue"]
    content, other = json.loads(file.read_text()), file.with_name("other.json")
    for one in content["annotations"]:
        one["category_id"] = 1 - one["category_id"]
    content["categories"] = [{"id": 1, "name": "red"}, {"id": 0, "name": "blue"}]  # another order of classes
    other.write_text(json.dumps(content))
    main(["evaluate", str(folder), str(other), "--json"])
    every = json.loads(capsys.readouterr().out)
    main(["evaluate", str(folder), str(file), "--json"])
    as_it_was = json.loads(capsys.readouterr().out)
    assert every["metrics"] == as_it_was["metrics"] and every["metrics"]["examples"] == PICTURES
    assert 0 < every["metrics"]["AP50"] <= 1
    content["categories"][0]["name"] = "green"
    other.write_text(json.dumps(content))
    assert main(["evaluate", str(folder), str(other)]) == DataError.code
    assert "red, blue. " in (said := capsys.readouterr().err) and "others: green" in said


def of_pycocotools(file, found, names):
    """AP, AP50 and AP75 of the boxes that predict wrote, on the pictures with these names."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        ids = {one["file_name"]: one["id"] for one in truth.dataset["images"]}
        files = {one["id"]: Path(one["file_name"]).name for one in found["images"]}
        rows = [
            {**one, "image_id": ids[files[one["image_id"]]], "category_id": one["category_id"] - 1}
            for one in found["annotations"]
        ]
        evaluated = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluated.params.imgIds = [ids[name] for name in names]
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated.stats[:3].tolist()


def test_predict_in_the_pixels_of_the_picture(ran, tmp_path, capsys):
    result, folder, file = ran
    out, folder_of_all = tmp_path / "found.json", tmp_path / "all"
    pictures = str(file.parent / "images")
    assert main(["predict", str(folder), pictures, "--out", str(out)]) == 0
    found, truth = json.loads(out.read_text()), json.loads(file.read_text())
    assert len(found["images"]) == PICTURES
    assert (
        "its category ids: 1 red, 2 blue; those of other files" in capsys.readouterr().out
    )  # 0 and 1 in the training's
    of_test = {Path(name).name for name in labelled.some(folder, saved_model.load(folder), PICTURES).names}
    assert of_pycocotools(file, found, of_test) == pytest.approx(
        [result["metrics"]["test"][name] for name in ("AP", "AP50", "AP75")], abs=1e-6
    )
    again = [f"{pictures}/00.png", str(file.parent / "images")]  # a picture of the same name twice: none is lost
    assert main(["predict", str(folder), *again, "--out", str(folder_of_all)]) == 0
    assert len(list((folder_of_all / "overlays").glob("*.png"))) == PICTURES + 1
    assert len(json.loads((folder_of_all / "boxes.json").read_text())["images"]) == PICTURES + 1
    best = max(found["annotations"], key=lambda one: one["score"])
    name = Path(found["images"][best["image_id"] - 1]["file_name"]).name
    x, y, width, height = best["bbox"]
    kind = found["categories"][best["category_id"] - 1]["name"]
    near = [
        one["bbox"]
        for one in truth["annotations"]
        if truth["images"][one["image_id"]]["file_name"] == name and ("red", "blue")[one["category_id"]] == kind
    ]
    wanted = np.array([[a, b, a + c, b + d] for a, b, c, d in near])
    assert np.abs(wanted - [x, y, x + width, y + height]).max(axis=1).min() < 4
    capsys.readouterr()
    assert main(["predict", str(folder), f"{pictures}/{name}", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(said["boxes"][0][2], [x, y, x + width, y + height], atol=0.06)
    assert main(["predict", str(folder), pictures, "--out", str(tmp_path / "found.csv")]) == 0
    lines = (tmp_path / "found.csv").read_text().splitlines()
    assert lines[0] == "file,class,score,left,top,right,bottom" and len(lines) == len(found["annotations"]) + 1
    assert main(["predict", str(folder), pictures, "--out", "x.txt"]) == 2


def test_a_part_without_a_box_has_no_precision():
    task = detection.restore({**{name: one.default for name, one in detection.OPTIONS.items()}, "classes": 2})
    totals = {
        "boxes": np.array([[[0, 0, 0, 0, NO_BOX]]]), "found": np.zeros((1, 10, 6)), "window": np.ones((1, 6)),
        "loss": np.array(1.0), "examples": np.array(1),
    }  # fmt: skip
    with pytest.raises(DataError, match="the 1 pictures of a part have none"):
        task.summarize(totals)


def head(family, variant, **options):
    config = default.get_config()
    config.task.name = "detection"
    config.task.update(**options)
    own, _ = settings.resolve(config)
    return detection.from_training(own.task, None, "ab").head_on(family.build(variant), 2)


def test_the_stages_of_the_pyramid():
    assert head(resnet, "18").stages == ("stage2", "stage3", "stage4")
    found = head(mobilenet, "v2", stages=("stage5", "stage7"))
    assert found.stages == ("stage5", "stage7") and found.strides == (16, 32)
    assert head(mobilenet, "v2").stages == ("stage3", "stage5", "stage7")  # the last of each stride
    found = head(vit, Variant(16, 32, 2, 2))
    assert (found.stages, found.strides, found.before) == (("norm",), (16,), 1)


@pytest.mark.parametrize("stages", [("stage4", "stage3"), ("stage2", "stage4"), ("stage2", "block7")])
def test_stages_that_make_no_pyramid_are_refused(stages):
    with pytest.raises(ConfigError, match=r"strides double, finest first.*stage3 16, stage4 32"):
        head(resnet, "18", stages=stages)


def test_options_are_checked():
    with pytest.raises(ConfigError, match=r"config\.task\.least_score must be in \(0, 1\); got 2"):
        head(resnet, "18", least_score=2.0)
    one = make_config("x")
    one.groups = ConfigDict()
    assert settings.resolve(one)[0].task.width == 32
