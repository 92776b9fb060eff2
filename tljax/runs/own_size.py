"""The test part of tasks whose answers are as large as the picture: judged in each picture's own size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.types import Variables
from tljax.serving import pixel_maps
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.tasks import JudgesInOwnSize

PART = "test"  # the others, by which epochs are chosen, are judged in the size of the network's input


def tested(
    variables: Variables, experiment: Experiment, config: ConfigDict, totals: Mapping[str, Any]
) -> dict[str, Any]:
    """The totals of all parts; those of the test part counted again, if the task asks for it."""
    if PART not in totals or not isinstance(experiment.task, JudgesInOwnSize):
        return dict(totals)
    predictor = Predictor(_model(variables, experiment, config), batch_size=config.train.eval_batch_size)
    return {**totals, PART: pixel_maps.in_own_size(predictor, experiment.parts[PART].subset, totals[PART])}


def _model(variables: Variables, experiment: Experiment, config: ConfigDict) -> Model:
    """What `saved_model.load` would give, before the folder is written; the task's head may be the user's own."""
    reader, network = find("inputs", find("families", config.model.family).INPUT), experiment.network
    sizes = reader.sizes(experiment.parts, config.data, card=experiment.card)
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
