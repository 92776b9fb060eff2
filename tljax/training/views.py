"""The inputs of a phase: examples and the whole network, or cached features and the network from a later stage on."""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from functools import partial

import jax
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import Groups
from tljax.core.trees import unflatten
from tljax.core.types import Batch, Phase, Prepare
from tljax.data import mixing
from tljax.data.batches import Evaluation, Examples, Training
from tljax.data.decoded_pictures import Pictures
from tljax.data.paired_batches import Paired
from tljax.data.parts import domains
from tljax.networks.network import Network
from tljax.reporting.terminal import Screen
from tljax.tasks import Task
from tljax.training import features, selection
from tljax.training.evaluate import Evaluator
from tljax.training.features import Cached, Took
from tljax.training.parallel import Parallel
from tljax.training.prefix import Prefix
from tljax.training.selection import Selection
from tljax.training.train_step import make_eval_step
from tljax.transfer.alignment import Alignment

FEW_PASSES = 2.0  # with fewer passes over the examples caching saves nothing, because computing features is one pass
DISK_SHARE = 0.5  # the largest share of the free disk that "auto" uses


@dataclasses.dataclass(frozen=True)
class View:
    """The training and evaluation inputs of one phase."""

    network: Network
    prepare: Prepare
    training: Training | Paired
    evaluations: dict[str, Evaluation]
    evaluator: Evaluator
    selection: Selection | None  # how the epoch to keep is chosen; None: the last step is kept
    oracle: dict[str, Evaluation]  # the targets whose best epoch by their own labels is reported
    statistics: Training | None  # the examples whose BatchNorm statistics evaluation has; None: those of training
    note: str  # what is cached, or why nothing is cached

    def fill(self) -> None:
        """Compute the features for training and its evaluations, so that no step waits for them."""
        often = [*self.oracle.values(), *([self.selection.evaluation] if self.selection else [])]
        for part in (*self.training.parts, *(evaluation.pictures for evaluation in often)):
            if isinstance(part, Cached):
                part.fill()


def took(views: Sequence[View]) -> Took:
    """The time that features have taken so far, in all `views` together."""
    parts = [
        part for view in views for part in (*view.training.parts, *(e.pictures for e in view.evaluations.values()))
    ]
    cached = {id(part): part.took for part in parts if isinstance(part, Cached)}
    return sum(cached.values(), Took())


def make(
    experiment: Experiment, phases: Sequence[Phase], task: Task, devices: Parallel, screen: Screen, config: ConfigDict
) -> tuple[View, ...]:
    """One view for each phase; phases with the same frozen stages share one. Nothing is computed yet."""
    views: dict[tuple[str | None, str], View] = {}
    chosen, begin, train = [], 0.0, experiment.parts["train"]
    epochs = max(config.train.epochs, config.train.min_steps * config.train.batch_size / len(train))
    for index, phase in enumerate(phases):
        moving = tuple(config.strategy.moving_statistics)
        stages = frozen_stages(experiment.groups, experiment.stages, phases[: index + 1], moving)
        passes, begin = (phase.until - begin) * epochs, phase.until
        where, why = decide(experiment, stages, config.data, devices, passes=passes, augmented=experiment.augmented)
        if where and mixing.asked(config.task):
            where, why = "", "not cached: training pictures are mixed (config.task.mixup, config.task.cutmix)"
        if where and experiment.augmented and config.adaptation.name:
            where, why = "", "not cached: the unlabelled examples are augmented too, differently in every step"
        if where and Alignment.of(config.adaptation).measures:
            where, why = "", f"not cached: {config.adaptation.name} measures the statistics of every stage"
        key = (stages[-1] if where else None, where)
        if key not in views:
            views[key] = _view(experiment, stages if where else (), where, task, devices, screen, config)
        chosen.append(dataclasses.replace(views[key], note=f"features, phase '{phase.name}': {why}"))
    return tuple(chosen)


def frozen_stages(
    groups: Groups, stages: Sequence[str], phases: Sequence[Phase], moving: Sequence[str] = ()
) -> tuple[str, ...]:
    """The first stages that stay pretrained through all of `phases`, including their statistics.

    Raises:
      ConfigError: `moving` names a group that does not exist.
    """
    layer_groups.check_moving(groups, moving)
    awake = {group for phase in phases for group in phase.learning} | set(moving)
    homes = {group: {layer_groups.stage_of(path) for path in paths} for group, paths in groups.items()}
    moved = set().union(*(homes[group] for group in awake))
    still = [stage not in moved for stage in stages]
    return tuple(stages[: still.index(False)] if False in still else stages)


def decide(
    experiment: Experiment,
    stages: Sequence[str],
    config: ConfigDict,
    devices: Parallel,
    *,
    passes: float,
    augmented: bool,
) -> tuple[str, str]:
    """("disk", "memory", "process" or "", the reason): where to keep the features of the frozen `stages`.

    Args:
      config: config.data; `cache` is used.
      passes: number of passes over the training examples in this phase.
      augmented: whether training changes the pictures at random.
    """
    if config.cache == "off":
        return "", "not cached, as config.data.cache asks"
    if not stages:
        return "", f"not cached: {experiment.stages[0]} is not frozen all the time until then"
    if len(stages) < len(experiment.stages) and not all(
        isinstance(part, Pictures) for part in experiment.parts.values()
    ):
        return "", "not cached: before the last stage, the outputs differ in length between texts"
    if augmented and not config.cached_views:
        return "", (
            "not cached: training pictures are augmented; config.data.cached_views=10 caches ten views of each, "
            "config.data.augment=false none but the plain one"
        )
    if config.cache == "auto" and passes < FEW_PASSES:
        return "", f"not cached: {passes:g} passes over the examples are too few to save time"
    views = config.cached_views if augmented else 0
    prefix = Prefix(experiment, _stop(experiment, stages), devices)
    rows = sum(len(part) for part in experiment.parts.values()) + views * len(experiment.parts["train"])
    size = rows * prefix.row_bytes
    contents = f"after {stages[-1]} {prefix.shapes}, {size / 2**20:,.1f} MiB"
    contents += f", {views} views of each example" if views else ""
    if devices.share.count > 1:  # a store on disk belongs to one process
        if config.cache == "memory" or size <= config.cache_memory * 2**30:
            return "process", f"cached in the memory of each process: {contents}"
        limit = f"config.data.cache_memory ({config.cache_memory:g} GiB)"
        return "", f"not cached: {contents} are more than {limit}, and several processes keep features in memory alone"
    if config.cache == "memory":
        return "process", f"cached in memory, for this run only: {contents}"
    if config.cache == "auto" and size <= config.cache_memory * 2**30:
        return "memory", f"cached in memory and in {features.folder()}: {contents}"
    free = shutil.disk_usage(next(p for p in (features.folder(), *features.folder().parents) if p.exists())).free
    if config.cache == "auto" and size > DISK_SHARE * free:
        return "", (
            f"not cached: {contents} are more than config.data.cache_memory ({config.cache_memory:g} GiB) and than "
            f"half of the free disk ({free / 2**30:,.1f} GiB)"
        )
    return "disk", f"cached in {features.folder()}, mapped from there: {contents}"


def _view(
    experiment: Experiment,
    stages: Sequence[str],
    where: str,
    task: Task,
    devices: Parallel,
    screen: Screen,
    config: ConfigDict,
) -> View:
    """The view after the frozen `stages`; without any, the view of examples."""
    network, prepare, size = experiment.network, experiment.prepare, config.train.eval_batch_size
    parts: Mapping[str, Examples] = experiment.parts
    train = parts["train"]
    if stages:
        network, prepare = network.clone(start=(*experiment.stages, "head")[len(stages)]), _features
        parts, train = features.cached(experiment, _stop(experiment, stages), where, devices, screen, config)
    weights = task.weights(config.task, experiment.parts["train"].subset.labels, experiment.classes)
    training = Training(
        train,
        batch_size=config.train.batch_size,
        seed=config.seed,
        weights=weights,
        beside=experiment.beside,
        share=devices.share,
    )
    alignment = Alignment.of(config.adaptation)
    step = make_eval_step(network, task, prepare, axis=devices.axis)
    evaluator = Evaluator(step, devices, partial(screen.compiling, "evaluation"))
    everything = {name: Evaluation(part, batch_size=size, share=devices.share) for name, part in parts.items()}
    return View(
        network,
        prepare,
        Paired(training, parts[domains.UNLABELLED]) if alignment.pairs else training,
        domains.labelled(everything),
        evaluator,
        selection.make(everything, evaluator, network, task, len(experiment.classes), prepare, devices, screen, config),
        {name: everything[name] for name in config.data.targets if config.train.oracle},
        _of_target(parts, devices, config) if alignment.measures else None,
        "",
    )


def _of_target(parts: Mapping[str, Examples], devices: Parallel, config: ConfigDict) -> Training:
    """The unlabelled examples in batches as large as those of training."""
    examples, size = parts[domains.UNLABELLED], config.train.batch_size
    return Training(examples, batch_size=size, seed=config.seed, share=devices.share)


def _stop(experiment: Experiment, stages: Sequence[str]) -> str | None:
    """The last of the frozen `stages`; None if all stages are frozen (then the head's input is cached)."""
    return None if len(stages) == len(experiment.stages) else stages[-1]


def _features(batch: Batch, key: jax.Array, train: bool) -> Batch:
    """Replaces the `prepare` of `preprocess.make`: cached features are the input of the next stage."""
    del key, train
    cached = {name: x for name, x in batch.items() if name.partition("/")[0] == "features"}
    return {**batch, "inputs": unflatten(cached)["features"]}
