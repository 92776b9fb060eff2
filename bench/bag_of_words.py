"""The bar for `configs/reviews.py:all`: TF-IDF of one- and two-grams, logistic regression, on the same splits.

    python -m bench.bag_of_words $DATA/reviews
    python -m bench.bag_of_words $DATA/reviews --seeds 0 1 2 --out bar
    python -m bench.bag_of_words $DATA/reviews --examples 1000    # as configs/reviews_finetune.py
    python -m bench.bag_of_words $DATA/reviews --examples 8 --few --seeds 0 1 2 3 4    # as configs/reviews_few.py

A row a source, as `tljax table` prints it. scikit-learn's defaults, but that the logarithm of counts is taken.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from configs import reviews, reviews_few
from tljax.core.plugins import find
from tljax.data.parts import splits
from tljax.data.parts.subsets import Subset
from tljax.runs import domain_transfer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", help="of the domains")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--examples", type=int, default=0, help="a class to learn from; 0: all")
    parser.add_argument("--few", action="store_true", help="the parts of configs/reviews_few.py")
    parser.add_argument("--out", type=Path, help="a folder for domain_transfer.md, .json and .png")
    args = parser.parse_args()
    if args.few:
        for source in reviews.DOMAINS:
            found = [100 * result(source, seed, args)["metrics"]["test"]["accuracy"] for seed in args.seeds]
            print(f"{source}: {np.mean(found):.1f} (sd {np.std(found, ddof=1):.1f}), {len(found)} seeds")
        return
    rows = domain_transfer.summarize(
        {source: [result(source, seed, args) for seed in args.seeds] for source in reviews.DOMAINS}
    )
    domain_transfer.tell(rows)
    if args.out:
        domain_transfer.save(rows, args.out)


def result(source: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """What a run that learns from `source` would leave of its test part and of the other domains."""
    config = (reviews_few if args.few else reviews).get_config(source).data
    config.update(dir=args.dir, examples_per_class=args.examples)
    parts = splits.choose(find("sources", config.source).load(config), config, seed).parts
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    found = LogisticRegression(max_iter=1000).fit(words.fit_transform(texts(parts["train"])), parts["train"].labels)
    metrics = {
        name: {"accuracy": found.score(words.transform(texts(part)), part.labels)}
        for name, part in parts.items()
        if name != "train"
    }
    return {"metric": "accuracy", "metrics": metrics, "source": source, "seed": seed}


def texts(part: Subset) -> list[str]:
    return [part.split[i]["text"] for i in part.indices]


if __name__ == "__main__":
    main()
