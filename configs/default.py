"""All keys that every run has, with their defaults and a comment each. An experiment sets those that differ.

The keys of one strategy, task, adaptation, data source, kind of input or model family are the `OPTIONS` in its file;
`tljax options strategies lora` prints them. They are keys of the same tables: config.strategy.rank.
"""

from typing import Any

from ml_collections import ConfigDict

from tljax.core import options


def get_config() -> Any:
    config: Any = ConfigDict(sort_keys=False)
    config.seed = 0  # of all random numbers in a run: splits, initial values, order of examples, augmentation
    config.parallel = "jit"  # jit (over a mesh) or pmap; without dropout both give the same run
    # The mesh of devices: a batch is divided over all; parameters, frozen ones too, and optimizer states over fsdp.
    config.mesh = mesh = ConfigDict(sort_keys=False)
    mesh.data = 0  # devices / fsdp; 0: that number
    mesh.fsdp = 1  # number of parts of a state; 1: every device has all of it
    mesh.rules = ()  # (path, axis to divide or -1), "backbone.stage1.*.kernel"; others: the largest that fsdp divides

    config.profile = ""  # "5:7" (--profile 5:7): a trace of these steps, from 1 on, into the run's folder

    config.data = data = ConfigDict(sort_keys=False)
    data.source = "digits"  # a file in tljax/data/sources/
    data.splits = ConfigDict(
        {"train": "train", "validation": "", "test": "test"}, sort_keys=False
    )  # part -> split of the source
    data.fractions = ()  # or shares (train, validation, test) of all examples
    data.divide = ()  # the splits that data.fractions divides; () is all
    data.targets = ()  # more splits to evaluate on at the end: other domains
    data.unlabelled = ()  # splits whose examples training may use without labels: adaptation, train.select
    data.unlabelled_share = 0.5  # share of each that training uses; targets are evaluated on the rest (1: on all)
    data.validation = 0.0  # share of the training part held out to choose the best epoch
    data.classes = ()  # names of the classes to keep; () is all
    data.half = ""  # a or b: one or the other random half of these classes; "" is all
    data.train_examples = 0  # the first n training examples (a random n if they are sorted by class); 0 is all
    data.examples_per_class = 0  # random training examples for each class; 0 is all
    data.channels = 3  # 3: RGB, 1: grey, 4: RGB and transparency; weights with other channels are made to fit
    data.similar_labels = "error"  # classes that differ only in spelling (Pos, pos; 1, 1.0): error, merge, keep
    # Examples of one group (a patient, a video) stay in one part. In a table: the column with the group. For files: a
    data.group = ""  # regular expression, whose group in brackets matches it in the path, "/(p[0-9]+)_"; "": no groups
    data.duplicates = "keep"  # repeated texts and pictures: keep, remove (counted, listed), or error between parts
    data.unreadable = "error"  # unreadable pictures, empty texts: error, or skip (counted and listed)
    data.max_pixels = 100_000_000  # the most pixels of a picture: a small file may unfold to more than memory holds
    data.cache = "auto"  # outputs of frozen stages: off, auto, memory (only for this run), disk ($TLJAX_CACHE)
    data.cache_memory = 2.0  # the most GiB that auto keeps in memory; more is mapped from disk
    data.cached_views = 0  # augmented views of each example to cache, used in turn; 0: augmentation means no cache

    config.model = model = ConfigDict(sort_keys=False)
    model.family = "resnet"  # a file in tljax/networks/families/
    model.variant = "18"  # one of the family's VARIANTS; auto: read the sizes from the weights
    # "": none; a .safetensors, .npz or (with torch) .pth file; a folder that a run (model/) or transformers left;
    # a hub repository, "owner/name"; "package:NAME/path/inside" of an installed package
    model.weights = ""  # "": none
    model.prefix = ""  # for a file with several networks: the prefix of one network's names, "student."; "": find it
    model.keep_head = False  # begin with the weights' own head, as far as its tensors fit; the others are random
    model.draw = 0  # another number gives other random initial values, with everything else of the seed unchanged
    model.copied_stages = -1  # number of stages, from the input on, that take the weights; others are random; -1: all
    model.tokenizer = ""  # text encoders: the tokenizer's folder; "" is that of the weights
    # CLIP and SigLIP: the head begins from the texts of the class names: "a photo of a {}"; "|" between templates
    model.text_head = ""  # "": a random head
    model.lock_file = "tljax.lock.json"  # the commit and sha256 of every hub file, recorded at its first download
    model.drop_path = 0.0  # stochastic depth: probability of skipping the last block; vit, convnext, efficientnet
    model.dtype = "float32"  # of the computation: float32 or bfloat16
    model.param_dtype = "float32"  # of stored parameters: float32, or bfloat16, which loses small updates (8 bits)
    model.attention = "xla"  # or cudnn: flash attention of NVIDIA's GPUs, for bfloat16; else XLA, which is said
    model.remat = ""  # stages ("stem..stage2", all) computed again in the backward pass: less memory on a GPU or TPU
    model.card = ConfigDict(sort_keys=False)  # the scaling of pixels, for weights without a card
    model.card.mean = ()  # per channel, after division by scale
    model.card.std = ()  # per channel
    model.card.scale = 255.0  # pixels are divided by this first
    model.card.channel_order = "RGB"  # RGB or BGR
    model.card.interpolation = ""  # bilinear, bicubic, nearest or lanczos; "": as the weights' card says, else bilinear

    config.groups = ConfigDict(
        sort_keys=False
    )  # group -> stages, "stem..stage2", path patterns; empty: one group a stage

    config.strategy = strategy = ConfigDict(sort_keys=False)
    strategy.name = "full"  # a file in tljax/transfer/strategies/
    strategy.moving_statistics = ()  # frozen groups whose BatchNorm statistics are updated

    config.task = ConfigDict(sort_keys=False)
    config.task.name = "classification"  # a file in tljax/tasks/

    config.adaptation = adaptation = ConfigDict(sort_keys=False)
    adaptation.name = (
        ""  # a file in tljax/transfer/adaptation/: aligns features of training and data.unlabelled; "": none
    )
    adaptation.weight = 1.0  # of the adaptation's term in the loss; dann: of the reversed gradient
    adaptation.ramp = 10.0  # the weight rises by 2 / (1 + exp(-ramp p)) - 1, p: share of the run done; 0: constant
    adaptation.classifier_scale = 1.0  # dann: the domain classifier's factor on optimizer.lr

    config.optimizer = optimizer = ConfigDict(sort_keys=False)
    optimizer.name = "sgd"  # any of optax, contrib.* too, or "package.module:function", "file.py:function"
    optimizer.lr = 0.01  # learning rate of a group at scale 1
    optimizer.weight_decay = 0.0  # decoupled if the optimizer has it (adamw, lion), else L2 in the gradient
    optimizer.decay_norms_and_biases = True  # False: decay only leaves of two or more dimensions
    optimizer.kwargs = ConfigDict(sort_keys=False)  # the optimizer's own keyword arguments
    # Evaluation and model/ use means of weights if one of these is set. BatchNorm statistics are then measured again:
    # one more pass over the training part for each evaluation.
    optimizer.ema = 0.0  # decay of the running mean of the learning weights; 0: no mean
    # SWA: the weights at the ends of epochs are averaged from this share of the run on, in its last phase.
    optimizer.swa = 0.0  # 1 - k / epochs averages the last k epochs; 0: no mean
    optimizer.accumulate = 1  # number of micro-batches, one after another, that a batch is split into, to save memory
    optimizer.clip = 0.0  # largest global norm of the learning groups' gradients; 0: no limit
    optimizer.schedule = "constant"  # constant, cosine, exponential, linear, step, or "package.module:function"
    optimizer.schedule_kwargs = ConfigDict(sort_keys=False)  # the schedule's own keyword arguments
    optimizer.any_factor = False  # True: the schedule's largest factor may lie outside of 0.5 to 2
    optimizer.warmup = 0.0  # share of all steps in which the rate first rises from 0
    # group -> its own lr, weight_decay, schedule, schedule_kwargs, name, kwargs: --config.optimizer.groups.head.lr=1e-3
    # If a group has its own lr, the strategy only decides when it learns.
    optimizer.groups = ConfigDict(sort_keys=False)

    config.train = train = ConfigDict(sort_keys=False)
    train.epochs = 10.0  # passes over the training part
    train.min_steps = 0  # the least number of updates; with few examples, epochs become longer
    train.batch_size = 64  # examples in a step, over all devices
    train.eval_batch_size = 256  # examples in a batch of evaluation
    train.eval_epochs = 1.0  # epochs between evaluations on the validation part
    train.checkpoint_epochs = 1.0  # epochs between checkpoints; resuming is exact from any step
    train.minutes = 0.0  # time limit of a run: a step is measured, and the steps that fit are taken; 0: no limit
    train.checkpoint_minutes = 10.0  # the most minutes between checkpoints; 0: no limit
    train.keep_checkpoints = 2  # number of latest checkpoints to keep
    train.patience = 0  # end the last phase after this many evaluations without improvement; 0: never
    train.best = ""  # the metric that chooses the best epoch: accuracy, loss, f1_macro, ...; "": the task's own
    train.select = "validation"  # choose the epoch on the validation part, or by entropy on data.unlabelled
    train.oracle = False  # also evaluate data.targets each time, and report their best epochs; it chooses nothing
    train.log_steps = 50  # steps between lines in metrics.jsonl

    # Files in tljax/reporting/writers/, which get every number: tensorboard, csv, mlflow, wandb, trackio.
    config.writers = ("tensorboard",)  # metrics.jsonl is always written

    # of report/index.html; short computes nothing for it: no heat maps, no map of features, no baseline
    config.report = "full"  # full, short or none

    # Several runs, one table: row -> ("key=value", ...) on top of this config; "{suite}", "{seed}" are filled in.
    config.suite = suite = ConfigDict(sort_keys=False)
    suite.rows = ConfigDict(sort_keys=False)  # empty: one plain run
    suite.seeds = (0,)  # every row runs with every seed
    suite.first = ()  # overrides of one run before all rows, in {suite}/first
    suite.only = ""  # run this row alone, or "first", and write no table: a task of an array job

    config.lock()
    for open_table in (
        config.groups,
        optimizer.kwargs,
        optimizer.schedule_kwargs,
        optimizer.groups,
        suite.rows,
    ):
        open_table.unlock()
    options.offer(config)
    return config
