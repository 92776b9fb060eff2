"""Load and check everything that a config names, before anything is written or trained."""

import dataclasses
import json
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from tljax.core import layer_groups, settings
from tljax.core.errors import ConfigError, gather
from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.remote import copies
from tljax.core.types import Dataset, Info, Phase, Variables
from tljax.data import labels, mixing
from tljax.data.batches import Training
from tljax.data.parts import class_counts, domains, splits
from tljax.data.parts.subsets import Subset
from tljax.networks import network
from tljax.networks.families import Adapts, Family
from tljax.networks.network import Built
from tljax.tasks import Builds, ChangesInputs, DependsOnTraining, Encodes, HasEntropy, NamesItsHead, Task, head_of
from tljax.training import optimizer, selection
from tljax.training.job import Job
from tljax.training.look import FirstBatches
from tljax.transfer import text_head
from tljax.transfer.alignment import Alignment
from tljax.transfer.method import PLAIN, Facts, Method
from tljax.weights import head_names, placement, pretrained
from tljax.weights.pretrained import Pretrained


def check(config: ConfigDict, devices: int, *, pretrained_wanted: bool = True) -> None:
    """Check `config` as far as possible before anything is read; one error lists all faults.

    Args:
      devices: the number of devices that share a batch.
      pretrained_wanted: see `load`.

    Raises:
      ConfigError: batch sizes, mixing, optimizer, schedule or weights do not fit.
    """
    gather(
        lambda: settings.batch_size(config.train, devices, accumulate=config.optimizer.accumulate),
        lambda: optimizer.check(config.optimizer),
        lambda: mixing.check(config, devices, pictures=find("families", config.model.family).INPUT == "image"),
        lambda: pretrained.check(config.model, wanted=pretrained_wanted),
    )


def load(config: ConfigDict, *, axis: str | None, pretrained_wanted: bool = True, method: Method = PLAIN) -> Experiment:
    """Read everything that `config` names; one error lists the faults of data and of weights.

    Args:
      axis: the pmap axis that BatchNorm statistics span, None under jit.
      pretrained_wanted: whether the network starts from `config.model.weights`.
      method: the strategy, which may change the network's sizes, and is checked as far as it can be.

    Raises:
      TljaxError: of config, data or weights; see `errors`.
    """
    config = copies.localized(config)
    family, task = find("families", config.model.family), find("tasks", config.task.name)
    # Looked up before the threads start: TFDS changes `import` for all threads while it is imported.
    source = find("sources", config.data.source)
    dataset, known = gather(
        lambda: source.load(config.data),
        lambda: pretrained.fetch(config.model, channels=config.data.channels, wanted=pretrained_wanted),
    )
    known, fresh = _varied(family, known, method)
    task, info, subsets, classes = _labelled(task, dataset, config)
    build = task.build if isinstance(task, Builds) else partial(network.plain, partial(head_of, task, len(classes)))
    built = network.build(build, family, known.variant, known.published, config.model, axis=axis)
    backbone, own = built.network.backbone, known.published is not None
    built, variables, drawn = _start(task, family, built, known, fresh, config)
    head_notes: tuple[str, ...] = ()
    if config.model.keep_head and known.published:
        variables, head_notes = head_names.by_class(variables, drawn, known.published, classes)
    groups = layer_groups.assign(variables["params"], backbone.stages, config.groups)
    if method is not PLAIN:
        method.check(variables["params"], groups, backbone.stages)
    # Last, because it takes longest: all other faults are reported before a picture is decoded.
    reader = find("inputs", family.INPUT)
    inputs = reader.load(subsets, config.data, model=config.model, card=known.card, backbone=backbone, pretrained=own)
    inputs = task.inputs(inputs, config.task) if isinstance(task, ChangesInputs) else inputs
    experiment = Experiment(
        info=info,
        task=task,
        classes=classes,
        parts=inputs.parts,
        augmented=inputs.augmented,
        save_inputs=inputs.save,
        published=known.published,
        card=known.card,
        variant=built.variant,
        notes=(*info.notes, *known.notes, *built.notes, *head_notes, *inputs.notes),
        lists=inputs.lists,
        prepare=inputs.prepare,
        network=built.network,
        names=built.names,
        variables=variables,
        drawn=drawn,
        groups=groups,
    )
    return text_head.begun(experiment, config.model) if config.model.text_head else experiment


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An experiment with the changes of its strategy and its adaptation, and the plan."""

    experiment: Experiment
    method: Method
    alignment: Alignment
    phases: tuple[Phase, ...]
    facts: Facts | None  # the result of the strategy's `look`

    def job(self, steps: int, config: ConfigDict, axis: str | None) -> Job:
        """The job of a run of `steps` updates."""
        one = self.experiment
        return Job(
            one.network,
            one.task,
            one.prepare,
            one.groups,
            self.phases,
            steps,
            config,
            axis,
            self.method,
            self.alignment,
        )


def with_plan(experiment: Experiment, method: Method, config: ConfigDict, *, facts: Facts | None = None) -> Prepared:
    """The experiment at the beginning of training, with its plan.

    Args:
      facts: the result of the strategy's `look` when this run began; None: it looks now, if it has `look`.

    Raises:
      ConfigError: the strategy or the adaptation does not fit.
    """
    if method.losses:
        _check_loss(experiment, config)
    experiment = method.initialize(experiment, seed=config.seed)
    if method.looks and facts is None:
        train = experiment.parts["train"]
        training = Training(train, batch_size=config.train.batch_size, seed=config.seed)
        view = FirstBatches(experiment, training, config.task, seed=config.seed)
        facts = json.loads(json.dumps(method.looks(view, config.strategy)))  # the same as a resumed run will read
    alignment = Alignment.of(config.adaptation)
    if alignment.uses == "logits" and not isinstance(experiment.task, HasEntropy):
        raise ConfigError(
            f"config.adaptation.name={config.adaptation.name} needs a task whose predictions have an entropy "
            f"(classification); those of config.task.name={config.task.name} have none. Choose coral, mmd or dann."
        )
    experiment, phases = alignment.initialize(experiment, method.plan(experiment.groups, facts), seed=config.seed)
    return Prepared(experiment, method, alignment, phases, facts)


def _check_loss(experiment: Experiment, config: ConfigDict) -> None:
    """Raise ConfigError if the run cannot train by a strategy's own loss."""
    faults = {
        f"classes, one of each example: config.task.name={config.task.name} has others": (
            experiment.task.LABEL_KIND == "classes"
        ),
        "a head that reads one vector of an example": not experiment.network.reads,
        f"no adaptation: config.adaptation.name={config.adaptation.name}": not config.adaptation.name,
        "no mixed pictures: set config.task.mixup and cutmix to 0": not mixing.asked(config.task),
    }
    if wrong := [need for need, holds in faults.items() if not holds]:
        raise ConfigError(
            f"config.strategy.name={config.strategy.name} trains by a loss of its own and needs {'; '.join(wrong)}. "
            f"Change this, or choose another strategy."
        )


def _labelled(task: Task, dataset: Dataset, config: ConfigDict) -> tuple[Any, Info, dict[str, Subset], Sequence[str]]:
    """(The task for this training part, the data's info, the parts, the classes)."""
    info = dataset.info
    if task.LABEL_KIND == "none":
        info = dataclasses.replace(info, classes=(), labels="none")
        dataset = dataclasses.replace(dataset, info=info)
    elif info.labels != task.LABEL_KIND:
        raise ConfigError(
            f"config.task.name={config.task.name} needs labels that are {task.LABEL_KIND}; those of {info.source} are "
            f"{info.labels}. For tables, set config.data.labels (classes, numbers or sets); for TFDS sets, features "
            f"decide; other sources have classes."
        )
    mixing.check_labels(config.task, info)
    subsets, classes, how = splits.choose(dataset, config.data, config.seed)
    counts = class_counts.notes(subsets, classes, info.labels)
    unread = (f"not read, because config.data does not name it: {labels.cut(info.unread)}",) if info.unread else ()
    train = subsets["train"]
    repeated = _repeated(len(train), config.train.batch_size)
    if isinstance(task, DependsOnTraining):
        task = task.from_training(config.task, train.pixels if train.labels is None else train.labels, classes)
    weighed = _weighed(task, classes, config.task)
    info = dataclasses.replace(info, notes=(*info.notes, *unread, *how, *counts, *weighed, *repeated))
    selection.chosen_by(config.train.best, task, len(classes))
    if isinstance(task, Encodes):
        known = {name: one.labels for name, one in subsets.items() if one.labels is not None}
        encoded = {name: dataclasses.replace(subsets[name], labels=task.encode(x)) for name, x in known.items()}
        subsets = subsets | encoded
    return task, info, domains.add(subsets, dataset, config.data, config.seed), classes


def _repeated(number: int, size: int) -> tuple[str, ...]:
    """A warning if a batch holds more examples, `size`, than the training part has, `number`."""
    if size <= number:
        return ()
    return (
        f"warning: a batch holds {size:,} examples and train {number:,}: each stands in a batch {size / number:.3g} "
        f"times; config.train.batch_size={max(1, number // 2)} or less makes batches of different examples",
    )


def _weighed(task: Any, classes: Sequence[str], config: ConfigDict) -> tuple[str, ...]:
    """A note of the class weights in the loss, if they are set: by name, in the order of classes."""
    key = {"classes": "class_weights", "sets": "pos_weight", "maps": "class_weights"}.get(task.LABEL_KIND, "")
    setting = tuple(config[key]) if key in config else ()
    if not setting or (setting == ("balanced",) and task.LABEL_KIND != "maps"):
        return ()
    balanced = setting == ("balanced",)
    weights = task.class_weights if balanced else labels.numbers_by_name(setting, classes, f"config.task.{key}")
    pairs = [f"{name} {number:.3g}" for name, number in zip(classes, weights, strict=True)]
    return (f"config.task.{key}{', balanced by pixels of train' if balanced else ''}: {labels.cut(pairs)}",)


def _varied(family: Family, known: Pretrained, method: Method) -> tuple[Pretrained, frozenset[str]]:
    """The weights with the run's variant, and the paths of what the strategy adds to theirs."""
    before = family.variant_of(known.variant)
    if (after := method.variant(before)) == before:
        return known, frozenset()
    theirs = {row.path for row in family.names(before)}
    return dataclasses.replace(known, variant=after), frozenset({row.path for row in family.names(after)} - theirs)


def _start(
    task: Any, family: Family, built: Built, known: Pretrained, fresh: Collection[str], config: ConfigDict
) -> tuple[Built, Variables, tuple[str, ...]]:
    """The network with all its names, its initial variables, and the paths with random initial values."""
    example = find("inputs", family.INPUT).example(config.data, known.card)
    example = task.example(example) if isinstance(task, ChangesInputs) else example
    own = task.head_names() if isinstance(task, NamesItsHead) else ()
    others = () if built.published_head else head_names.unused(built.names)
    built = dataclasses.replace(built, network=network.on(built.network, example))
    built = dataclasses.replace(built, names=head_names.complete(built.network, example, built.names, own))
    keeps, published = bool(config.model.keep_head and known.published), known.published
    if keeps and published:
        fresh = {*fresh, *head_names.unfitting(built.network, example, built.names, published)}
    variables, drawn = placement.start(
        built.network,
        example,
        seed=config.seed,
        draw=config.model.draw,
        published=known.published,
        names=built.names,
        unused=(*family.UNUSED, *others),
        adapt=family.adapt if isinstance(family, Adapts) else None,
        head=built.published_head or keeps,
        stages=_copied(built.network.backbone.stages, config.model.copied_stages),
        fresh=fresh,
        dtype=config.model.param_dtype,
    )
    return built, variables, drawn


def _copied(stages: Sequence[str], number: int) -> Sequence[str] | None:
    """The first `number` stages; None, which is all, for -1."""
    if number > len(stages):
        raise ConfigError(
            f"config.model.copied_stages must be at most the {len(stages)} stages ({', '.join(stages)}); got {number}."
        )
    return None if number < 0 else stages[:number]
