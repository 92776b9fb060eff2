"""Every plugin of tljax against the protocol of its kind: pyright reads these tables, and they leave none out."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Callable, Mapping

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from tljax import commands, tasks
from tljax.core import plugins
from tljax.core.layer_groups import Groups
from tljax.core.modules import Plugin
from tljax.core.types import Dataset, Params, Phase, VariantLike
from tljax.data import builders, inputs, sources
from tljax.data.builders import cifar10
from tljax.data.inputs import image, tokens
from tljax.data.sources import (
    coco,
    covidx,
    digits,
    docstrings,
    image_folder,
    image_masks,
    instance_masks,
    picture_table,
    reviews,
    text_csv,
    text_folder,
    tfds,
    voc,
    yolo,
)
from tljax.networks import families
from tljax.networks.backbone import Backbone
from tljax.networks.families import (
    bert,
    bit,
    convnext,
    deberta,
    densenet,
    distilbert,
    efficientnet,
    electra,
    lenet,
    mobilenet,
    mobilenet_v4,
    modernbert,
    mpnet,
    regnet,
    resnet,
    roberta,
    swin,
    text_tower,
    vgg,
    vit,
)
from tljax.reporting import writer
from tljax.reporting.writers import csv, jsonl, mlflow, tensorboard, trackio, wandb
from tljax.tasks import classification, detection, masked_lm, multilabel, regression, segmentation
from tljax.transfer import adaptation, strategy
from tljax.transfer.adaptation import adabn, coral, dann, mcc, mmd
from tljax.transfer.strategies import (
    adapter,
    auto,
    bitfit,
    classic,
    distill,
    full,
    gradual_unfreeze,
    groups,
    l2_sp,
    last_k,
    layer_decay,
    linear_probe,
    lora,
    lp_ft,
    mixout,
    norm_only,
    scratch,
    setfit,
    ssf,
    surgical,
    vpt,
)
from tljax.weights import formats, spellings
from tljax.weights import sources as weight_sources
from tljax.weights.formats import npz, pth, safetensors
from tljax.weights.sources import address, file, hub, package
from tljax.weights.spellings import (
    authors,
    timm,
    timm_regnet_swin,
    torchvision,
    transformers,
    transformers_convnext_v2,
    transformers_vit,
)

FAMILIES: tuple[families.Family, ...] = (
    *(bert, bit, convnext, deberta, densenet, distilbert, efficientnet),
    *(electra, lenet, mobilenet, mobilenet_v4, modernbert, mpnet, regnet, resnet, roberta, swin, text_tower, vgg, vit),
)
INFERS: tuple[families.Infers, ...] = (bert, bit, convnext, deberta, densenet, distilbert, efficientnet)
INFERS_TOO: tuple[families.Infers, ...] = (
    electra,
    lenet,
    mobilenet,
    mobilenet_v4,
    modernbert,
    mpnet,
    regnet,
    resnet,
    roberta,
    swin,
    text_tower,
    vgg,
    vit,
)
ADAPTS: tuple[families.Adapts, ...] = (
    bert,
    bit,
    deberta,
    distilbert,
    electra,
    modernbert,
    mpnet,
    roberta,
    text_tower,
    vit,
)
DESCRIBES: tuple[families.Describes, ...] = (bert, deberta, distilbert, electra, modernbert, mpnet, roberta)
HIDES_WORDS: tuple[families.HidesWords, ...] = (bert, deberta, distilbert, electra, mpnet, roberta)
KNOWS_ITS_SIZE: tuple[families.KnowsItsSize, ...] = (vit,)
PUBLISHES: tuple[families.Publishes, ...] = (swin, vit)
HAS_OWN_PARTS: tuple[families.HasOwnParts, ...] = (vit,)

SOURCES: tuple[sources.Source, ...] = (
    *(coco, covidx, digits, docstrings, image_folder, image_masks, instance_masks, picture_table),
    *(reviews, text_csv, text_folder, tfds, voc, yolo),
)
INPUTS: tuple[inputs.InputKind, ...] = (image, tokens)
BUILDERS: tuple[builders.Builder, ...] = (cifar10,)
ADAPTATIONS: tuple[adaptation.Adaptation, ...] = (adabn, coral, dann, mcc, mmd)
ALIGNS: tuple[adaptation.Aligns, ...] = (coral, dann, mcc, mmd)
HAS_PARAMETERS: tuple[adaptation.HasParameters, ...] = (dann,)
WEIGHT_SOURCES: tuple[weight_sources.WeightSource, ...] = (address, file, hub, package)
FORMATS: tuple[formats.Format, ...] = (npz, pth, safetensors)
SPELLINGS: tuple[spellings.Library, ...] = (
    authors,
    timm,
    timm_regnet_swin,
    torchvision,
    transformers,
    transformers_convnext_v2,
    transformers_vit,
)
WRITERS: tuple[writer.Starts, ...] = (csv, jsonl, mlflow, tensorboard, trackio, wandb)
LOADS: tuple[writer.Loads, ...] = (mlflow, trackio, wandb)

STRATEGIES: tuple[strategy.Strategy, ...] = (
    *(distill, vpt),
    *(adapter, auto, bitfit, classic, full, gradual_unfreeze, groups, l2_sp, last_k),
    *(layer_decay, linear_probe, lora, lp_ft, mixout, norm_only, scratch, setfit, ssf, surgical),
)
PLANS: tuple[strategy.Plans, ...] = (
    *(distill, vpt),
    *(adapter, bitfit, classic, full, gradual_unfreeze, groups, l2_sp, last_k),
    *(layer_decay, linear_probe, lora, lp_ft, mixout, norm_only, scratch, setfit, ssf),
)
CHOOSES: tuple[strategy.Chooses, ...] = (auto,)
PLANS_BY_FACTS: tuple[strategy.PlansByFacts, ...] = (surgical,)
INITIALIZES: tuple[strategy.Initializes, ...] = (vpt, adapter, bitfit, l2_sp, lora, mixout, norm_only, ssf)
CHANGES: tuple[strategy.Changes, ...] = (adapter, l2_sp, lora, mixout, ssf)
PENALIZES: tuple[strategy.Penalizes, ...] = (l2_sp,)
FITS: tuple[strategy.Fits, ...] = (classic,)
HAS_LOSS: tuple[strategy.HasLoss, ...] = (distill, setfit)
HAS_TEACHERS: tuple[strategy.HasTeachers, ...] = (distill,)
VARIES: tuple[strategy.Varies, ...] = (vpt,)
REFITS: tuple[strategy.Refits, ...] = (classic,)

TASKS: tuple[tasks.Task, ...] = (classification, masked_lm)
BEGUN: tuple[Callable[..., tasks.Task], ...] = (
    detection.Detection,
    multilabel.MultiLabel,
    regression.Regression,
    segmentation.Segmentation,
)
TASKS_DEPEND: tuple[tasks.DependsOnTraining, ...] = (detection, multilabel, regression, segmentation)
TABULATES: tuple[Callable[..., tasks.Tabulates], ...] = (
    detection.Detection,
    segmentation.Segmentation,
)
IN_OWN_SIZE: tuple[Callable[..., tasks.JudgesInOwnSize], ...] = (segmentation.Segmentation,)
INTERVALS: tuple[Callable[..., tasks.HasInterval], ...] = (
    multilabel.MultiLabel,
    regression.Regression,
    segmentation.Segmentation,
)
RANKS: tuple[Callable[..., tasks.Ranks], ...] = (
    detection.Detection,
    segmentation.Segmentation,
)

TABLES: Mapping[str, tuple[Plugin, ...]] = {
    "adaptation": ADAPTATIONS,
    "builders": BUILDERS,
    "families": FAMILIES,
    "formats": FORMATS,
    "inputs": INPUTS,
    "sources": SOURCES,
    "spellings": SPELLINGS,
    "strategies": STRATEGIES,
    "weight_sources": WEIGHT_SOURCES,
    "writers": WRITERS,
}


class Wrong:
    """Signatures that are wrong: if one were taken for right, pyright would say that its comment does nothing."""

    PRETRAINED, __name__, __file__ = True, "wrong", ""

    def load(self, folder: str) -> Dataset: ...
    def plan(self, groups: Groups) -> tuple[Phase, ...]: ...
    def initialize(self, width: str, config: ConfigDict) -> Params: ...
    def term(self, source: jax.Array, config: ConfigDict) -> jax.Array: ...
    def read(self, path: str) -> Mapping[str, np.ndarray]: ...
    def build(self, variant: VariantLike) -> Backbone: ...
    def start(self, folder: str) -> None: ...
    def main(self) -> None: ...


IS_SOURCE: sources.Source = Wrong()  # pyright: ignore[reportAssignmentType]
IS_STRATEGY: strategy.Plans = Wrong()  # pyright: ignore[reportAssignmentType]
IS_INITIALIZES: strategy.Initializes = Wrong()  # pyright: ignore[reportAssignmentType]
IS_ADAPTATION: adaptation.Adaptation = Wrong()  # pyright: ignore[reportAssignmentType]
IS_ALIGNS: adaptation.Aligns = Wrong()  # pyright: ignore[reportAssignmentType]
IS_FORMAT: formats.Format = Wrong()  # pyright: ignore[reportAssignmentType]
IS_WEIGHT_SOURCE: weight_sources.WeightSource = Wrong()  # pyright: ignore[reportAssignmentType]
IS_FAMILY: families.Family = Wrong()  # pyright: ignore[reportAssignmentType]
IS_TASK: tasks.Task = Wrong()  # pyright: ignore[reportAssignmentType]
IS_INPUT: inputs.InputKind = Wrong()  # pyright: ignore[reportAssignmentType]
IS_BUILDER: builders.Builder = Wrong()  # pyright: ignore[reportAssignmentType]
IS_SPELLING: spellings.Library = Wrong()  # pyright: ignore[reportAssignmentType]
IS_WRITER: writer.Starts = Wrong()  # pyright: ignore[reportAssignmentType]
IS_VERB: commands.Verb = Wrong()  # pyright: ignore[reportAssignmentType]


@pytest.mark.parametrize("kind", TABLES)
def test_every_plugin_of_a_kind_stands_in_its_table(kind):
    assert sorted(map(plugins.name, TABLES[kind])) == plugins.available(kind)


def test_every_task_stands_in_a_table():
    assert sorted(
        plugin.__name__.rpartition(".")[2]
        for plugin in (classification, detection, masked_lm, multilabel, regression, segmentation)
    ) == (plugins.available("tasks"))


# What a plugin may be besides its kind -> those that are; a plugin with the function and another signature is an error.
OPTIONAL = {
    families.Infers: (FAMILIES, (*INFERS, *INFERS_TOO)),
    families.Adapts: (FAMILIES, ADAPTS),
    families.Describes: (FAMILIES, DESCRIBES),
    families.HidesWords: (FAMILIES, HIDES_WORDS),
    families.KnowsItsSize: (FAMILIES, KNOWS_ITS_SIZE),
    families.Publishes: (FAMILIES, PUBLISHES),
    adaptation.Aligns: (ADAPTATIONS, ALIGNS),
    adaptation.HasParameters: (ADAPTATIONS, HAS_PARAMETERS),
    strategy.Plans: (STRATEGIES, (*PLANS, *PLANS_BY_FACTS)),
    strategy.Chooses: (STRATEGIES, CHOOSES),
    strategy.Looks: (STRATEGIES, PLANS_BY_FACTS),
    strategy.Initializes: (STRATEGIES, INITIALIZES),
    strategy.Changes: (STRATEGIES, CHANGES),
    strategy.Penalizes: (STRATEGIES, PENALIZES),
    strategy.Fits: (STRATEGIES, FITS),
    strategy.Refits: (STRATEGIES, REFITS),
    strategy.HasLoss: (STRATEGIES, HAS_LOSS),
    strategy.HasTeachers: (STRATEGIES, HAS_TEACHERS),
    strategy.Varies: (STRATEGIES, VARIES),
    families.HasOwnParts: (FAMILIES, HAS_OWN_PARTS),
    writer.Loads: (WRITERS, LOADS),
}


@pytest.mark.parametrize("protocol", OPTIONAL, ids=lambda protocol: protocol.__name__)
def test_every_plugin_with_more_stands_in_the_table_of_that(protocol):
    every, listed = OPTIONAL[protocol]
    assert [plugins.name(one) for one in every if isinstance(one, protocol)] == [
        one.__name__.rpartition(".")[2] for one in listed
    ]


@pytest.mark.parametrize("name", plugins.available("commands"))
def test_every_verb_has_main(name):
    verb: commands.Verb = plugins.find("commands", name)
    assert callable(verb.main)
