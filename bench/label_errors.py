"""How many flipped labels are found: 5 % of CIFAR-10-4000's, by confident learning on frozen features.

python bench/label_errors.py $DATA/cifar10_4000 $WEIGHTS/resnet18_imagenet.safetensors [--size 64] [--seeds 3]

A row a seed: of the first 200 candidates as many are flipped labels (precision), and so many of all flipped ones are
among them (recall). Labels that were wrong before count as not flipped, so precision is a lower bound.
"""

import argparse
import time

import numpy as np

from configs import cifar10_4000
from tljax.reporting import label_errors
from tljax.reporting.terminal import Screen
from tljax.runs import experiment
from tljax.runs.pages import probe
from tljax.training import features, parallel

FLIPPED, FIRST = 0.05, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    config = cifar10_4000.get_config()
    config.data.update(source="image_folder", dir=options.data, size=options.size, augment=False)
    config.model.weights = options.weights
    made = experiment.load(config, axis=None)
    part = features.vectors(made, "memory", parallel.make("jit"), Screen(), config)["train"]
    rows = np.asarray(part.take(np.arange(len(part)))["features"], np.float32)
    truth, found = np.asarray(made.parts["train"].subset.labels), []
    for seed in range(options.seeds):
        rng, began = np.random.default_rng(seed), time.monotonic()
        flipped = rng.choice(len(truth), round(FLIPPED * len(truth)), replace=False)
        labels = truth.copy()
        labels[flipped] = (labels[flipped] + rng.integers(1, len(made.classes), len(flipped))) % len(made.classes)
        order = label_errors.candidates(labels, probe.out_of_fold(probe.linear, rows, labels, seed))
        hits = np.isin(order[:FIRST], flipped).sum()
        precision, recall = hits / min(FIRST, len(order)), hits / len(flipped)
        found.append((precision, recall))
        print(
            f"seed {seed}: {len(flipped)} of {len(truth)} labels flipped, {len(order)} candidates; "
            f"of the first {FIRST} precision {precision:.3f}, recall {recall:.3f} ({time.monotonic() - began:.1f} s)"
        )
    print("mean: precision {:.3f}, recall {:.3f}".format(*np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
