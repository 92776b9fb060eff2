"""The sums of every part at the end of a run; of maps, the test part is judged in each picture's own size."""

from pathlib import Path
from typing import Any, cast

from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.types import Json, Totals, Variables
from tljax.data.batches import Evaluation
from tljax.serving.maps import pixel_maps, tiles
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
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
    sums = {}
    for part, examples in view.evaluations.items():
        if part != PART or not isinstance(task, JudgesInOwnSize):
            sums[part] = view.evaluator(variables, examples)
        else:
            sums[part] = _judged(view, variables, examples, experiment, devices, config)
    return sums


def _judged(
    view: View,
    variables: Variables,
    examples: Evaluation,
    experiment: Experiment,
    devices: Parallel,
    config: ConfigDict,
) -> Totals:
    """The totals of the test part, with its pixels counted in each picture's own size."""
    task, subset = cast("Any", experiment.task), experiment.parts[PART].subset
    reader = find("inputs", find("families", config.model.family).INPUT)
    sizes = reader.sizes(experiment.parts, config.data, card=experiment.card)
    if tiles.asked(sizes):
        model = _model(devices.get_state(variables), experiment, config, sizes)
        maps = tiles.maps(Predictor(model, batch_size=config.train.eval_batch_size), subset)
        return {**view.evaluator(variables, examples), **task.in_own_size(maps, len(experiment.classes))}
    step = pixel_maps.step(view.network, task, view.prepare, axis=devices.axis)
    return pixel_maps.judged(step, task, variables, examples, subset=subset, sizes=sizes, devices=devices)


def _model(variables: Variables, experiment: Experiment, config: ConfigDict, sizes: Json) -> Model:
    """What `saved_model.load` would give, before the folder is written; the task's head may be the user's own."""
    reader, network = find("inputs", find("families", config.model.family).INPUT), experiment.network
    return Model(
        family=config.model.family,
        variant=experiment.variant,
        task=experiment.task,
        network=network,
        variables=variables,
        names=tuple(experiment.names),
        classes=tuple(experiment.classes),
        card=experiment.card,
        input=sizes,
        asked=reader.reopen(Path(), sizes, card=experiment.card, backbone=network.backbone),
    )
