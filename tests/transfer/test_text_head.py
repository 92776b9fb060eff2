"""A head from the names of classes: vectors of texts, and a linear head that predicts what cosines predict."""

import numpy as np
import pytest

from tests import two_towers
from tljax.core.errors import ConfigError, WeightsError
from tljax.transfer import text_head

NAMES = ("cat", "hot_dog", "boat")


@pytest.fixture(scope="module", params=["clip", "siglip"])
def tower(request, tmp_path_factory):
    folder = two_towers.write(tmp_path_factory.mktemp("towers"), request.param)
    return text_head.read(str(folder), lock=folder / "lock.json")


def test_a_class_is_the_unit_mean_of_its_texts(tower):
    found = tower.classes(NAMES, ["a photo of a {}", "{} here"])
    texts = tower.embed([f"a photo of a {name}" for name in ("cat", "hot dog", "boat")])
    more = tower.embed([f"{name} here" for name in ("CAT", "hot dog", "boat")])  # as of lower case
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, text_head.unit((texts + more) / 2), rtol=1e-5, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-5


def test_more_texts_than_a_batch_are_those_of_each_alone(tower):
    texts = [letter * (1 + i // 26) for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz" * 2)][:40]
    np.testing.assert_allclose(tower.embed(texts)[[0, 39]], tower.embed([texts[0], texts[39]]), rtol=1e-5, atol=1e-6)


def test_the_linear_head_predicts_what_cosines_predict(tower):
    rng = np.random.default_rng(0)
    wide = tower.network.backbone.variant.projection
    features, projection = rng.normal(size=(50, 8)), None if wide == 8 else rng.normal(size=(8, wide))
    classes = text_head.unit(rng.normal(size=(3, wide)))
    exact = text_head.logits(features, projection, classes, tower)
    head = text_head.head(features, projection, classes, tower)
    linear = features @ head["kernel"] + head["bias"]
    assert (linear.argmax(1) == exact.argmax(1)).all()
    assert len({*exact.argmax(1)}) == 3
    one = text_head.head(features[:1], projection, classes, tower)  # of one length, it is the same number too
    np.testing.assert_allclose(features[:1] @ one["kernel"] + one["bias"], exact[:1], rtol=1e-5)


@pytest.mark.parametrize("template", ["a photo", "{} of {}"])
def test_a_template_has_one_place(tower, template):
    with pytest.raises(ConfigError, match=r"one \{\} for the class"):
        tower.classes(NAMES, [template])


def test_a_text_too_long_is_named(tower):
    with pytest.raises(ConfigError, match=r"at most (20|30) tokens; 1 have more, of a b b"):
        tower.classes(["cat", "b " * 30], ["a {}"])


def test_weights_without_a_tower_for_texts_are_refused(shared):
    file = next((shared / "weights").rglob("*.safetensors"), None)
    if file is None:
        pytest.skip("no weights here")
    with pytest.raises(WeightsError, match=r"hold a tower for texts, as those of CLIP, SigLIP and TIPSv2.*openai/clip"):
        text_head.read(str(file), lock=file)
