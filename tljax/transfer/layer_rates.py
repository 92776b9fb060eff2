"""The default factor between the learning rates of neighbouring groups, from the number of groups."""

from collections.abc import Sized

FACTOR, STEPS = 0.3, 5  # the factor for a network of five stages and a head


def factor(decay: float, groups: Sized) -> float:
    """`given` (the key strategy.layer_decay); if it is 0: 0.3 for up to six groups, else 0.3 ** (5 / n).

    n is the number of groups before the last. So the first group of any deep network learns at 0.3 ** 5 = 0.24 % of the
    last group's rate, as in a network of five stages. The factor is 0.65 for a ViT of 12 blocks (n = 14), and 0.79 for
    24 blocks (n = 26). The papers have 0.65 and 0.75 (Bao et al. 2021, BEiT; He et al. 2022, MAE).
    """
    n = max(len(groups) - 1, 1)
    return decay or (FACTOR if n <= STEPS else FACTOR ** (STEPS / n))


def note(decay: float, groups: Sized) -> str:
    """Text to append to a phase's name if the factor is the default; "" if the user gave it."""
    return "" if decay else f", {factor(decay, groups):.3g} from group to group, by their number {len(groups)}"
