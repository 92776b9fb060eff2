"""How much slower each group learns than the one after it, where the user leaves it to the number of groups."""

from collections.abc import Sized

FACTOR, STEPS = 0.3, 5  # of a network in five stages and a head


def factor(given: float, groups: Sized) -> float:
    """`given`, the key strategy.layer_decay; for 0 one by the number of groups: 0.3 up to six, then 0.3 ** (5 / n).

    n: groups before the last. So the first of any deep network learns at 0.3 ** 5 = 0.24 % of the
    last one's rate, as that of a network in five stages does. It comes to 0.65 for the 14 of a ViT of 12 blocks, and
    0.79 for the 26 of one of 24: the papers have 0.65 and 0.75 (Bao et al. 2021, BEiT; He et al. 2022, MAE).
    """
    n = max(len(groups) - 1, 1)
    return given or (FACTOR if n <= STEPS else FACTOR ** (STEPS / n))


def note(given: float, groups: Sized) -> str:
    """What to add to a phase's name where the factor is not the user's; "" where it is."""
    return "" if given else f", {factor(given, groups):.3g} from group to group, by their number {len(groups)}"
