"""Faults of published weights and of downloads: cases 41 to 44, and 21, 22 of issue 13."""

import json

import numpy as np
import safetensors.numpy

from tests.faults.making import CONFIG, DIGITS, FULL, WEIGHTS, Fault, Scene, arrays, with_weights


def without(*names: str):
    return lambda tensors: {name: x for name, x in tensors.items() if name not in names}


def renamed(prefix: str):
    return lambda tensors: {prefix + name: x for name, x in tensors.items()}


def other_head(tensors):
    rng = np.random.default_rng(0)
    return tensors | {
        "fc.weight": rng.normal(size=(9, tensors["fc.weight"].shape[1])).astype(np.float32),
        "fc.bias": np.zeros(9, np.float32),
    }


def whole(tensors) -> bytes:
    return safetensors.numpy.save(tensors)


def with_card(scene: Scene) -> list[str]:
    command = list(with_weights(dict)(scene))
    (scene.root / "net.card.json").write_text(json.dumps({"mean": [0.0], "std": [1.0], "sha256": "0" * 64}))
    return [*command, "--config.model.card.mean=()", "--config.model.card.std=()"]


def offline(scene: Scene) -> list[str]:
    import huggingface_hub.constants

    scene.patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    scene.patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(scene.root / "hub"))
    return [*DIGITS, "--config.strategy.name=full", "--config.model.weights=somebody/network"]


TRANSPOSED = "conv2.weight"

CASES = {
    "41 another head": Fault(with_weights(other_head), 0, ["starting at random: head/bias, head/kernel"]),
    "42 missing": Fault(with_weights(without("conv2.bias")), WEIGHTS, ["1 missing: conv2.bias"]),
    "42 extra": Fault(
        with_weights(lambda tensors: tensors | {"extra": np.ones(2, np.float32)}), WEIGHTS, ["1 extra: extra"]
    ),
    "42 turned": Fault(
        with_weights(lambda tensors: tensors | {TRANSPOSED: np.ascontiguousarray(tensors[TRANSPOSED].T)}),
        WEIGHTS,
        ["conv2.weight", "must be (32, 16, 3, 3)"],
    ),
    "42 of whole numbers": Fault(
        with_weights(lambda tensors: {name: x.astype(np.int8) for name, x in tensors.items()}), WEIGHTS, ["int8"]
    ),
    "42 another architecture": Fault(
        with_weights(lambda _: arrays("medium")), WEIGHTS, ["conv1.weight (32, 1, 3, 3), must be (16, 1, 3, 3) here"]
    ),
    "42 a page in the place of a file": Fault(
        with_weights(lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        WEIGHTS,
        ["is an HTML or XML page, not weights"],
    ),
    "42 a pointer of git-lfs": Fault(
        with_weights(lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"),
        WEIGHTS,
        ["is a git-LFS pointer"],
    ),
    "42 cut": Fault(with_weights(lambda tensors: whole(tensors)[:5000]), WEIGHTS, ["truncated or damaged"]),
    "42 empty": Fault(with_weights(lambda _: b""), WEIGHTS, ["net.safetensors", "empty"]),
    "42 no file": Fault([*DIGITS, *FULL], WEIGHTS, ["no file 'net.safetensors'"]),
    "43 no network": Fault(offline, WEIGHTS, ["somebody/network", "HF_HUB_OFFLINE is set"]),
    "44 another checksum": Fault(with_card, WEIGHTS, ["net.safetensors", "sha256"]),
    "21 a wrapper of two parts": Fault(with_weights(renamed("_orig_mod.module.")), 0, ["_orig_mod.module.", "result:"]),
    "21 two networks in a file": Fault(
        with_weights(lambda tensors: renamed("teacher.")(tensors) | renamed("student.")(tensors)),
        WEIGHTS,
        ["teacher.", "student.", "config.model.prefix"],
    ),
    "22 a card that is a list": Fault(
        lambda scene: [with_weights(dict)(scene), (scene.root / "net.card.json").write_text("[]")][0],
        WEIGHTS,
        ["net.card.json"],
    ),
    "22 an unknown field": Fault(["zoo", "check", "nothing.safetensors"], WEIGHTS, ["nothing.safetensors"]),
    "23 what stands in no plugin": Fault(
        [*DIGITS, "--config.model.family=resnett"], CONFIG, ["'resnett' must be", "Did you mean 'resnet'?"]
    ),
}
