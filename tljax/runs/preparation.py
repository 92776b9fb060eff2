"""From a config to a prepared experiment: the one way for runs, learning-rate sweeps and costs."""

import json
from typing import Any

from ml_collections import ConfigDict

from tljax.core.plugins import find
from tljax.core.processes import agreement
from tljax.reporting.report import Report
from tljax.runs import decision, experiment, fitted_run, teachers
from tljax.runs.experiment import Prepared
from tljax.training.parallel import Parallel
from tljax.transfer.method import Method

LOOKED = "looked.json"  # the result of the strategy's `look`


def prepare(config: ConfigDict, devices: Parallel, report: Report) -> Prepared:
    """Read and check everything that `config` names, choose the strategy if it is `auto`, and plan. Nothing is written.

    A resumed run keeps its decision and the facts that its strategy measured.

    Raises:
      TljaxError: of config, data or weights; see `errors`.
    """
    method = Method.of(find("strategies", config.strategy.name), config.strategy)
    if method.fits:
        fitted_run.check(config)
    experiment.check(config, devices.devices, pretrained_wanted=method.pretrained)
    loaded = experiment.load(config, axis=devices.axis, pretrained_wanted=method.pretrained, method=method)
    method, loaded = decision.settle(method, loaded, devices, report, config)
    loaded = teachers.beside(loaded, method, config)
    prepared = experiment.with_plan(loaded, method, config, facts=agreement.told(lambda: report.stored(LOOKED)))
    if prepared.facts is not None:
        report.keep(LOOKED, json.dumps(prepared.facts, indent=2))
        report.say(f"{method.name} looked at the first batches: " + _shown(prepared.facts))
    return prepared


def _shown(facts: Any) -> str:
    return ", ".join(f"{name} {x:.3g}" if isinstance(x, float) else f"{name} {x}" for name, x in facts.items())
