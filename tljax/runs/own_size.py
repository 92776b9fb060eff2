"""The sums of every part at the end of a run; of maps, the test part is judged in each picture's own size."""

from typing import Any

from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.types import Totals, Variables
from tljax.serving import pixel_maps
from tljax.tasks import JudgesInOwnSize
from tljax.training.parallel import Parallel
from tljax.training.views import View

PART = "test"  # the others, by which epochs are chosen, are judged in the size of the network's input


def totals(
    view: View, variables: Variables, experiment: Experiment, devices: Parallel, config: ConfigDict
) -> dict[str, Totals]:
    """Part -> its sums and the values of its examples. Each part runs once.

    Args:
      view: the last phase's.
      variables: on the devices.
    """
    task: Any = experiment.task
    found = {}
    for part, examples in view.evaluations.items():
        if part != PART or not isinstance(task, JudgesInOwnSize):
            found[part] = view.evaluator(variables, examples)
            continue
        reader = find("inputs", find("families", config.model.family).INPUT)
        sizes = reader.sizes(experiment.parts, config.data, card=experiment.card)
        step = pixel_maps.step(view.network, task, view.prepare, axis=devices.axis)
        subset = experiment.parts[part].subset
        found[part] = pixel_maps.judged(step, task, variables, examples, subset=subset, sizes=sizes, devices=devices)
    return found
