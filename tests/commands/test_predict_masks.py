"""`tljax train`, `predict` and `evaluate` on pictures with masks, and the page of such a run."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.__main__ import main
from tljax.core.types import IGNORED
from tljax.networks.families import resnet
from tljax.serving import saved_model, snippets
from tljax.serving.maps import pixel_maps

TWO = resnet.Variant((1, 1), bottleneck=False, width=8)
FLAGS = (
    "--config.data.shape=(24,32)", "--config.model.family=resnet", "--config.model.variant=two", "--strategy=scratch",
    "--config.train.epochs=1", "--config.train.min_steps=1", "--config.train.minutes=0", "--lr=0.01",
    "--config.writers=()", "--config.model.card.mean=(0.4,0.4,0.4)", "--config.model.card.std=(0.2,0.2,0.2)",
)  # fmt: skip


def scenes(root, part, number, rng):
    """Pictures of 30 x 40 pixels: a bright block is class 2 on ground of classes 0 and 1; the edge is of no class."""
    for folder in (part, f"{part}annot"):
        (root / folder).mkdir(parents=True)
    for i in range(number):
        label = np.zeros((30, 40), np.uint8)
        label[15:] = 1
        top, left = rng.integers(0, 18), rng.integers(0, 28)
        label[top : top + 12, left : left + 12] = 2
        image = (label[..., None] * 90 + rng.integers(0, 40, (30, 40, 3))).astype(np.uint8)
        label[0] = IGNORED
        Image.fromarray(image).save(root / part / f"{i}.png")
        Image.fromarray(label).save(root / f"{part}annot" / f"{i}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the folder of scenes, the run's folder)"""
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    for part, number in (("train", 8), ("val", 4), ("test", 4)):
        scenes(root / "data", part, number, rng)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(resnet.VARIANTS, "two", TWO)
        monkeypatch.setenv("TLJAX_WEIGHTS", str(no_weights(root)))
        main(["train", str(root / "data"), "--workdir", str(root / "run"), *FLAGS])
        yield root / "data", root / "run"


def no_weights(root):
    """A folder with a file of weights, which scratch does not read."""
    (root / "weights").mkdir()
    (root / "weights" / "r.safetensors").write_bytes(b"")
    (root / "weights" / "r.card.json").write_text(
        json.dumps({"family": "resnet", "variant": "18", "mean": [0.4] * 3, "std": [0.2] * 3})
    )
    return root / "weights"


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


def test_it_reports_on_all_pixels(trained):
    _, run = trained
    result = json.loads((run / "result.json").read_text())
    assert result["metric"] == "mean_iou" and result["counts"]["test"] == 4
    # Of the pictures' own 30 x 40 pixels, but the row of no class; the epoch is chosen by those of the input, 24 x 32.
    test, validation = (result["metrics"][part] for part in ("test", "validation"))
    assert test["pixels"] == 4 * 29 * 40 and validation["pixels"] == 4 * 23 * 32
    assert 0 <= test["mean_iou_low"] <= test["mean_iou"] <= test["mean_iou_high"] <= 1
    model = saved_model.load(run)
    assert model.classes == ("0", "1", "2") and model.stored == (24, 32, 3)


def test_masks_hold_the_values_of_the_training_where_names_tell_them():
    """Else a mask of class 7 held 2, and was another class to whoever read it like those of the training."""
    assert pixel_maps.values(("0", "3", "7")) == [0, 3, 7]
    for names in (("ground", "object"), ("0", "1000"), ("0", "255"), ("0", "00"), ("#000000", "#ff0000")):
        assert pixel_maps.values(names) == [0, 1]


def test_masks_and_overlays_have_the_size_of_their_pictures(trained, tmp_path, capsys):
    data, run = trained
    Image.fromarray(np.zeros((50, 20, 3), np.uint8)).save(tmp_path / "0.png")  # another shape, and a name that is taken
    main(["predict", str(run), str(data / "test"), str(tmp_path / "0.png"), "--out", str(tmp_path / "out")])
    out = capsys.readouterr().out
    assert "5 masks in masks/" in out and "values of the masks" not in out  # they are the names
    assert (tmp_path / "out" / "classes.csv").read_text().split() == ["value,class", "0,0", "1,1", "2,2"]
    masks = {path.name: opened(path) for path in sorted((tmp_path / "out" / "masks").iterdir())}
    assert list(masks) == ["0-2.png", "0.png", "1.png", "2.png", "3.png"]
    assert masks["0-2.png"].size == (20, 50) and masks["1.png"].size == (40, 30) and masks["1.png"].mode == "P"
    assert set(np.unique(masks["1.png"])) <= {0, 1, 2}
    assert opened(tmp_path / "out" / "overlays" / "1.png").size == (40, 30)
    names = [f"{i}.png" for i in range(4)]
    true = np.stack([np.asarray(opened(data / "testannot" / name)) for name in names])
    said = np.stack([np.asarray(masks[name]) for name in names])
    said[true == IGNORED] = IGNORED
    iou = [((true == k) & (said == k)).sum() / ((true == k) | (said == k)).sum() for k in range(3)]
    told = json.loads((run / "result.json").read_text())["metrics"]["test"]["mean_iou"]
    assert np.mean(iou) == pytest.approx(told, abs=1e-6)


def test_evaluate_counts_what_the_run_counted(trained, capsys):
    data, run = trained
    test = json.loads((run / "result.json").read_text())["metrics"]["test"]
    for arguments in ([], [str(data), "--split", "test"]):
        capsys.readouterr()
        main(["evaluate", str(run), *arguments, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found["metrics"]["pixels"] == test["pixels"]
        assert found["value"] == pytest.approx(test["mean_iou"], abs=1e-6)
        assert found["interval"] == pytest.approx([test["mean_iou_low"], test["mean_iou_high"]], abs=1e-6)
        assert [row["class"] for row in found["per_class"]] == ["0", "1", "2"]
    main(["evaluate", str(run), str(data)])
    assert "these data hold what the run learned from" in capsys.readouterr().err


def test_report_finds_what_the_run_counted(trained, tmp_path, capsys):
    """In the pictures' own size, not in that of the input."""
    shutil.copytree(trained[1], tmp_path / "run")
    capsys.readouterr()
    main(["report", str(tmp_path / "run"), "--short"])
    assert "at the end of the run" not in capsys.readouterr().out


def test_names_of_classes_go_along_to_pictures_elsewhere(trained, tmp_path, capsys):
    """The file of classes that lies beside the training pictures names those of other folders too."""
    data, _ = trained
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "classes.txt").write_text("sky\nroad\ncar\n")
    main(["train", str(tmp_path / "data"), "--workdir", str(tmp_path / "run"), *FLAGS])
    capsys.readouterr()
    test = tmp_path / "data" / "test"
    main(["evaluate", str(tmp_path / "run"), str(test), "--masks", f"{test}annot"])
    shown = capsys.readouterr()
    assert all(name in shown.out for name in ("sky", "road", "car", "pixels 4,640", "95 % interval"))
    assert "3 classes by" in shown.err


def test_what_an_export_prints_prepares_a_picture_as_the_run_did(trained):
    data, run = trained
    model, place = saved_model.load(run), {}
    exec("import numpy as np\nfrom PIL import Image\n" + "\n".join(snippets._prepare(model)), place)
    with Image.open(data / "test" / "0.png") as picture:
        ours = place["prepare"](picture)
    batch = model.asked.batch([model.asked.read(data / "test" / "0.png")])
    expected = model.asked.prepare(batch, jax.random.key(0), False)["inputs"]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_square_of_the_middle_is_put_back_where_it_was():
    sizes = {"resize": 20, "crop": 10, "size": 8, "channels": 3}
    probabilities = np.zeros((4, 4, 2), np.float32)
    probabilities[..., 1] = 1
    label = pixel_maps.full_size(probabilities, (40, 60), sizes)
    assert (label[10:30, 20:40] == 1).all() and (label == 1).sum() == 400 and (label == IGNORED).sum() == 2000


@pytest.mark.page
@pytest.mark.renders
def test_the_page_shows_classes_and_the_worst_pictures(trained, tmp_path):
    data, _ = trained
    main(["train", str(data), "--workdir", str(tmp_path / "run"), *FLAGS])
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "Classes and pictures" in page and page.count("picture, label, answer") == 4
    assert "by the bootstrap over the examples" in page and "mean iou low" not in page
    assert "boundary F1" in page and "percent said to be of each" in page
