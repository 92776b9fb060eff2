"""Choose the splits for training, validation and test by their names; missing parts are drawn at random, by class."""

import re
from collections.abc import Mapping

from tljax.given.found import Changes

# Part -> its usual names, without capitals and a final "_set" or "_data".
NAMES = {
    "train": ("train", "training", "trn", "learn"),
    "validation": ("val", "valid", "validation", "dev", "develop", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout"),
}
SMALL = 1000  # with fewer examples, a fifth each is for validation and test; with more, a smaller share is enough
SHARES = {True: (0.6, 0.2, 0.2), False: (0.7, 0.15, 0.15)}  # of all: train, validation, test


def role(name: str) -> str:
    """The part that a split's name means; "" if none."""
    plain = re.sub(r"^instances[_-]|[_-]?(19|20)\d\d$", "", name.strip().lower())  # COCO's instances_val2017
    plain = re.sub(r"[ _-]?(set|data|split|images|pictures|part)$", "", plain)
    return next((part for part, names in NAMES.items() if plain in names), "")


def of(splits: Mapping[str, int], labels: str) -> tuple[Changes, tuple[str, ...], tuple[str, ...]]:
    """The keys for the parts, the splits for training (validation and test may be drawn from them), and notes.

    Args:
      splits: name -> examples.
      labels: their kind, see `Info.labels`; only classes can be drawn evenly.
    """
    drawn = "drawn with the seed" + (", evenly by class" if labels == "classes" else "")
    by_role: dict[str, str] = {}
    for name in splits:
        if (part := role(name)) and part not in by_role:
            by_role[part] = name
    train, validation, test = (by_role.get(part, "") for part in NAMES)
    if not train:
        return _drawn(splits, tuple(splits), drawn)
    if not (validation or test):
        changes, learned, notes = _drawn({train: splits[train]}, (train,), drawn)
        return {**changes, "data.divide": (train,)}, learned, notes
    keys: Changes = {"data.splits.train": train, "data.splits.test": test or validation}
    left = [name for name in splits if name not in by_role.values()]
    notes = [f"parts: '{train}' trains, '{test or validation}' tests"]
    if test and validation:
        keys["data.splits.validation"] = validation
        notes = [f"parts: '{train}' trains, '{validation}' chooses the epoch, '{test}' tests"]
    else:
        share = SHARES[splits[train] < SMALL][1]
        keys["data.validation"] = share
        notes.append(f"parts: {share:.0%} of '{train}', {drawn}, choose the epoch")
    if not test:
        notes.append(f"parts: no folder is called test, so '{validation}' is tested on, once, and chooses nothing")
    notes += [f"parts: left out, because no part is called so: {', '.join(left)}"] if left else []
    return keys, (train,), tuple(notes)


def _drawn(
    splits: Mapping[str, int], names: tuple[str, ...], drawn: str
) -> tuple[Changes, tuple[str, ...], tuple[str, ...]]:
    """Divide all these splits together."""
    shares = SHARES[sum(splits.values()) < SMALL]
    percent = " / ".join(f"{share:.0%}" for share in shares)
    together = f" of {', '.join(names)} together" if len(names) > 1 else ""
    note = f"parts: train / validation / test {percent}{together}, {drawn}"
    notes = (note,)
    if len(names) > 1:
        notes += (
            "parts: none of these is called train, so all are divided; to test on one of them alone, say "
            f"--config.data.divide=\"('{names[0]}',)\" --config.data.targets=\"('{names[-1]}',)\"",
        )
    return {"data.fractions": shares}, names, notes
