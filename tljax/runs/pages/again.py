"""The page of a finished run, or of a comparison, made again from its folder."""

from functools import partial
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core import plugins
from tljax.core.experiment import Experiment
from tljax.data.batches import Evaluation
from tljax.data.parts import domains
from tljax.reporting.page.html import Content
from tljax.reporting.run_folder import inputs
from tljax.reporting.terminal import Screen
from tljax.runs import comparison_folder, experiment, own_size, results
from tljax.runs.pages import comparison_page, run_page
from tljax.runs.pages.finished import Finished
from tljax.serving import evaluation, labelled, model_json, saved_model, stored_config
from tljax.serving.maps import pixel_maps
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.tasks import JudgesInOwnSize
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.train_step import make_eval_step

SAME = 1e-6  # the largest difference between two evaluations that needs no word


def write(folder: Path, asked: str, screen: Screen) -> Path | None:
    """Draw the page of the run, suite or comparison in `folder`; see `drawing.draw`.

    Args:
      asked: full or short, as `config.report`.

    Raises:
      TljaxError: nothing in `folder` has ended, or its data or weights are not what they were.
    """
    if (folder / "result.json").exists():
        return run_page.write(of_run(folder, asked, screen))
    tables, places, failed = comparison_folder.read(folder)
    return comparison_page.write(tables, places, failed, folder, asked=asked, say=screen.say)


def of_run(folder: Path, asked: str, screen: Screen) -> Finished:
    """A finished run with its experiment, evaluated again by the network in model/."""
    result, model = results.read(folder), saved_model.load(folder)
    task = model_json.read(folder / "model")["task"]
    config = stored_config.read_run(labelled.config_file(folder), family=model.family, task=task)
    config.report = asked
    strategy = plugins.find_known("strategies", result.get("chosen_strategy", result["strategy"]))
    loaded = experiment.load(config, axis=None, pretrained_wanted=strategy.PRETRAINED)
    inputs.check(folder, loaded.fingerprints())
    totals = _totals(folder, model, loaded, config, screen)
    metric = result["metric"]
    then, now = result["metrics"]["test"][metric], loaded.task.summarize(totals["test"])[metric]
    if abs(then - now) > SAME:
        screen.say(
            f"the test {metric} is {now:.6f} here and was {then:.6f} at the end of the run: another device, or other "
            f"versions of packages. Figures of the run are those of its end; charts and examples are of now."
        )
    return Finished(folder, loaded, config, totals, result, parallel.alone(), screen)


def _totals(folder: Path, model: Model, loaded: Experiment, config: ConfigDict, screen: Screen) -> dict[str, Content]:
    """Part -> the sums of its evaluation."""
    parts, size = domains.labelled(loaded.parts), config.train.eval_batch_size
    if model.classifier:
        predictor = Predictor(model, batch_size=size)
        return {part: evaluation.totals(predictor, labelled.of_part(folder, model, part)) for part in parts}
    devices = parallel.alone()
    step: Any = make_eval_step(model.network, model.task, loaded.prepare)
    evaluator, variables = Evaluator(step, devices, partial(screen.compiling, "evaluation")), model.variables
    placed, found = devices.put_state(variables), {}
    for part, examples in parts.items():
        batches = Evaluation(examples, batch_size=size)
        if part == own_size.PART and isinstance(model.task, JudgesInOwnSize):
            found[part] = pixel_maps.of_model(model, loaded.prepare, batches, examples.subset, devices)
        else:
            found[part] = evaluator(placed, batches)
    return found
