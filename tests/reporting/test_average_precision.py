"""COCO's average precision: the numbers of pycocotools on the same answers, and cases counted by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tljax.core.types import NO_BOX
from tljax.reporting import average_precision

CLASSES = 3


def drawn(seed, *, pictures=25):
    """Boxes, and answers that are near them or anywhere, with equal scores and padding among them."""
    rng = np.random.default_rng(seed)
    labels, found = [], []
    for i in range(pictures):
        corner = rng.uniform(0, 150, (rng.integers(0, 9), 2))
        classes = rng.integers(0, CLASSES - (seed == 1), len(corner))  # with seed 1 the last class has no box
        label = np.column_stack([corner, corner + rng.uniform(4, 90, corner.shape), classes]).reshape(-1, 5)
        near = np.repeat(label, 2, axis=0)
        near[:, :4] += rng.normal(0, 5, (len(near), 4))
        near[:, 2:4] = np.maximum(near[:, 2:4], near[:, :2] + 1)
        wild = np.column_stack([rng.uniform(0, 80, (150, 2)), rng.uniform(80, 160, (150, 2)), rng.integers(0, 3, 150)])
        answer = np.concatenate([near, wild[: 150 if i == 3 else 6]])
        scores = rng.integers(0, 20, len(answer)) / 20
        found.append(np.column_stack([answer, scores]))
        labels.append(np.concatenate([label, [[0, 0, 0, 0, NO_BOX]]]))
    return labels, found


def of_pycocotools(labels, found):
    """(AP, AP50, AP75, AP of each class; NaN for one without a box)."""

    def rows(pictures):
        for i, picture in enumerate(pictures):
            for top, left, bottom, right, k, *score in picture.tolist():
                if k >= 0:
                    box = [left, top, right - left, bottom - top]
                    one = {"image_id": i, "category_id": int(k), "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                    yield one | ({"score": score[0]} if score else {})

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(labels))],
            "categories": [{"id": k} for k in range(CLASSES)],
            "annotations": [one | {"id": i} for i, one in enumerate(rows(labels), start=1)],
        }
        truth.createIndex()
        evaluated = COCOeval(truth, truth.loadRes(list(rows(found))), "bbox")
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    precision = evaluated.eval["precision"][:, :, :, 0, 2]  # (T, R, K): all sizes, 100 answers
    each = [precision[:, :, k].mean() if (precision[:, :, k] > -1).any() else np.nan for k in range(CLASSES)]
    return [*evaluated.stats[:3], *each]


@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_of_pycocotools(seed):
    labels, found = drawn(seed)
    curves = average_precision.curves(labels, found, CLASSES)
    ours = [*average_precision.summary(curves).values(), *(curve.average.mean() for curve in curves)]
    np.testing.assert_allclose(ours, of_pycocotools(labels, found), rtol=0, atol=1e-6)
    assert 0.05 < ours[0] < 0.6


def test_counted_by_hand():
    """Two boxes: one is found by the best answer, then a wrong answer, then the first box again; one is not found."""
    label = np.array([[0, 0, 10, 10, 0], [50, 50, 60, 60, 0]])
    answer = np.array([[0, 0, 10, 10, 0, 0.9], [80, 80, 90, 90, 0, 0.8], [0, 0, 10, 9, 0, 0.7]])
    (curve,) = average_precision.curves([label], [answer], 1)
    assert curve.right[0].tolist() == [True, False, False] and curve.boxes == 2
    assert curve.recall[0].tolist() == [0.5, 0.5, 0.5]
    np.testing.assert_allclose(curve.average, 51 / 101)  # precision 1 at recalls 0 to 0.5, then 0
    two = average_precision.curves([label], [answer], 2)
    assert average_precision.summary(two)["AP"] == pytest.approx(51 / 101)  # a class without a box does not count
    assert np.isnan(average_precision.summary(two[1:])["AP"])


def test_no_answers_and_no_boxes():
    nothing = np.zeros((0, 6))
    box = np.array([[0, 0, 10, 10, 0]])
    assert average_precision.summary(average_precision.curves([box], [nothing], 1))["AP"] == 0
    one = average_precision.curves([box, box[:0]], [np.array([[0, 0, 10, 10, 0, 0.5]])] * 2, 1)
    assert average_precision.summary(one)["AP50"] == pytest.approx(1.0)  # the equal score of the empty picture is last
