"""The network with which a finished run began, read again: the first network of WiSE-FT."""

from pathlib import Path

from tljax.core.atomic import read_json
from tljax.core.errors import DataError, WeightsError
from tljax.core.experiment import WEIGHTS
from tljax.core.types import Variables
from tljax.runs import experiment
from tljax.serving import labelled, model_json, saved_model, stored_config


def variables(run: Path) -> Variables:
    """The initial variables of a run whose head began from the names of its classes (config.model.text_head).

    Raises:
      DataError: its head began with random values.
      WeightsError: its weights or its training part are not what they were.
      TljaxError: its data or weights cannot be read; see `errors`.
    """
    file = labelled.config_file(run)
    content = model_json.read(file.parent / "model")
    config = stored_config.read_network(file, family=content["family"], task=content["task"])
    if not config.model.text_head:
        raise DataError(
            f"The network that '{run}' began with has a random head, so it is no first network for WiSE-FT. Train "
            f"linear_probe from the same weights, with the same seed, and give both runs: tljax soup PROBE TUNED "
            f"--recipe wise_ft. Or begin the run from the names of its classes, by config.model.text_head."
        )
    began = experiment.load(config, axis=None)
    if saved_model.variant_as_json(began.variant) != content["variant"]:
        raise DataError(
            f"The line of WiSE-FT needs two networks of the same sizes; the strategy of '{run}' gave its network parts "
            f"that the weights do not have. Give two runs of this strategy, or a run of another one."
        )
    if began.fingerprints()[WEIGHTS] != read_json(file.parent / "inputs.json")[WEIGHTS]:
        raise WeightsError(
            f"The line of WiSE-FT must begin at the network that '{run}' began with; the weights in "
            f"'{config.model.weights}', or the head from the names of classes, give another one now. Put the weights "
            f"and the training part back, and use the kind of device on which it was trained."
        )
    return began.variables
