"""What is seen of a further domain and what it is evaluated on: disjoint, drawn whatever the labels are."""

import numpy as np
import pytest

from configs import default
from tests.data import test_splits as shared
from tljax.core import settings
from tljax.core.errors import ConfigError, DataError
from tljax.data.parts import domains, splits

DATA = {"fractions": (0.5, 0.0, 0.5), "divide": ("src",), "targets": ("dst",), "unlabelled": ("dst",)}


def data(**more):
    return shared.dataset(src=shared.labels(), dst=shared.labels((9, 9, 12)), far=shared.labels((3, 4, 5)), **more)


def parts(dataset=None, seed=0, **changes):
    config, dataset = default.get_config(), dataset or data()
    config.data.update(DATA | changes)
    settings.check(config)
    subsets, *_ = splits.choose(dataset, config.data, seed)
    return domains.add(subsets, dataset, config.data, seed)


def test_what_is_seen_is_not_evaluated_on():
    found = parts()
    assert list(found) == ["train", "test", "dst", "unlabelled"]
    seen, rest = (set(shared.ids(found[name])) for name in ("unlabelled", "dst"))
    assert len(seen) == len(rest) == 15 and not seen & rest
    assert seen | rest == {f"dst/{i}" for i in range(30)}
    plain = parts(unlabelled=())
    for name in ("train", "test"):
        assert shared.ids(found[name]) == shared.ids(plain[name])
    assert list(plain) == ["train", "test", "dst"] and len(plain["dst"]) == 30


def test_it_has_no_labels():
    part = parts()["unlabelled"]
    assert part.labels.tolist() == [-1] * 15 and part.labels.dtype == np.int32 and part[0]["label"] == -1


def test_the_draw_looks_at_no_label():
    """Also where classes are chosen: which class an unlabelled example is of is not known."""
    expected = shared.ids(parts()["unlabelled"])
    other = shared.dataset(src=shared.labels(), dst=shared.labels((30, 0, 0)), far=shared.labels((3, 4, 5)))
    assert shared.ids(parts(other)["unlabelled"]) == expected
    assert shared.ids(parts(classes=("ant", "bee"))["unlabelled"]) == expected


def test_the_share_one_is_seen_and_evaluated_on_whole():
    found = parts(unlabelled_share=1.0)
    assert shared.ids(found["unlabelled"]) == shared.ids(found["dst"]) == [f"dst/{i}" for i in range(30)]


def test_several_domains_and_ones_that_are_no_target():
    found = parts(unlabelled=("far", "dst"), unlabelled_share=0.25)
    seen = shared.ids(found["unlabelled"])
    assert [name.partition("/")[0] for name in seen] == ["far"] * 3 + ["dst"] * 8
    assert seen[3:] == shared.ids(parts(unlabelled_share=0.25)["unlabelled"])  # whatever else is drawn from
    assert list(found) == ["train", "test", "dst", "unlabelled"] and len(found["dst"]) == 22


def test_seeds_draw_differently():
    assert shared.ids(parts()["unlabelled"]) == shared.ids(parts()["unlabelled"])
    assert shared.ids(parts()["unlabelled"]) != shared.ids(parts(seed=1)["unlabelled"])


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"unlabelled": ("nowhere", "dst")}, ConfigError, r"splits of here \(src, dst, far\).*no split: nowhere"),
        ({"unlabelled": ("src",)}, ConfigError, "used for another part: src"),
        ({"unlabelled": ("far", "far")}, ConfigError, "named twice: far"),
        ({"unlabelled_share": 0.99}, DataError, r"empty parts: dst\. Change config.data.unlabelled_share \(0.99\)"),
        ({"unlabelled_share": 0.01}, DataError, "empty parts: unlabelled"),
        ({"unlabelled_share": 0.0}, ConfigError, r"unlabelled_share must be in \(0, 1\]; got 0.0"),
    ],
)
def test_errors(changes, error, text):
    with pytest.raises(error, match=text):
        parts(**changes)


def test_a_target_must_not_be_called_unlabelled():
    dataset = shared.dataset(src=shared.labels(), unlabelled=shared.labels(), far=shared.labels((3, 4, 5)))
    with pytest.raises(ConfigError, match="must not name 'unlabelled', which is the name of a part"):
        parts(dataset, targets=("unlabelled",), unlabelled=("far",))


def test_what_is_evaluated_and_what_a_source_is_called():
    assert domains.labelled({"train": 1, "unlabelled": 2, "dst": 3}) == {"train": 1, "dst": 3}
    config = default.get_config().data
    assert domains.source(config) == "train"
    config.fractions = (0.8, 0.0, 0.2)
    assert domains.source(config) == "all"
    config.divide = ("books", "dvd")
    assert domains.source(config) == "books+dvd"
