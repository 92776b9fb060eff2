"""Every key that all runs share, its default, one comment each. An experiment is this plus what differs.

What belongs to one strategy, task, adaptation, data source, kind of input or model family stands in its own file, as
`OPTIONS`; `tljax options strategies lora` prints them. They are keys of the same tables: config.strategy.rank.
"""

from typing import Any

from ml_collections import ConfigDict

from tljax.core import options


def get_config() -> Any:
    config: Any = ConfigDict(sort_keys=False)
    config.seed = 0  # draws splits, initial values, order, augmentation: all chance in a run
    config.parallel = "jit"  # jit (over a mesh) or pmap; without dropout both give the same run

    config.data = data = ConfigDict(sort_keys=False)
    data.source = "digits"  # a file in tljax/data/sources/
    data.splits = ConfigDict(
        {"train": "train", "validation": "", "test": "test"}, sort_keys=False
    )  # part -> split of the source
    data.fractions = ()  # or shares (train, validation, test) of all examples
    data.divide = ()  # those of which splits; () is all
    data.targets = ()  # further splits to evaluate on at the end: other domains
    data.unlabelled = ()  # further splits whose examples, without labels, training may see: adaptation, train.select
    data.unlabelled_share = 0.5  # so much of each is seen; a target is evaluated on the rest, or for 1 on all of it
    data.validation = 0.0  # share of the training part held out to choose the best epoch
    data.classes = ()  # names of the classes to keep; () is all
    data.half = ""  # of those classes, a random half: a, or b, the other one; "" is both
    data.train_examples = 0  # the first so many of the training split; of one sorted by class a draw by seed; 0 is all
    data.examples_per_class = 0  # training examples a class, drawn by seed; 0 is all
    data.channels = 3  # 3: RGB, 1: grey, 4: RGB and transparency; weights that saw others are made to fit
    data.similar_labels = "error"  # classes that differ in spelling alone (Pos, pos; 1, 1.0): error, merge, keep apart
    # By what examples stay together in one part (a patient, a video): a regular expression with one group that finds
    data.group = ""  # it in the path below data.dir, "/(p[0-9]+)_"; of tables the name of a column; "": each alone
    data.duplicates = "keep"  # texts and pictures that repeat: keep, remove (counted, listed), or error between parts
    data.unreadable = "error"  # a picture that cannot be read, an empty text: error, or skip (counted and listed)
    data.max_pixels = 100_000_000  # that a picture may have: a small file may hold more than memory does
    data.cache = "auto"  # what frozen stages put out: off, auto, memory (of this run alone), disk ($TLJAX_CACHE)
    data.cache_memory = 2.0  # GiB of it that auto holds in memory; more is mapped from disk
    data.cached_views = 0  # augmented views of a training example to cache, one an epoch in turn; 0: no cache then

    config.model = model = ConfigDict(sort_keys=False)
    model.family = "resnet"  # a file in tljax/networks/families/
    model.variant = "18"  # one of the family's VARIANTS; auto: its sizes are read from the weights
    # "": none; a .safetensors, .npz or (with torch) .pth file; a folder that a run (model/) or transformers left;
    # a hub repository, "owner/name"; "package:NAME/path/inside" of an installed package
    model.weights = ""  # "": none
    model.prefix = ""  # of a file that holds several networks: what names of one begin with, "student."; "": found
    model.draw = 0  # another draw of the values that start at random, all else of the seed being the same
    model.copied_stages = -1  # stages, from the input on, that take the weights; the others start at random; -1: all
    model.tokenizer = ""  # text encoders: the tokenizer's folder; "" is that of the weights
    model.lock_file = "tljax.lock.json"  # the commit and sha256 of every hub file, recorded at its first download
    model.drop_path = 0.0  # stochastic depth: chance of leaving out the last block; vit, convnext, efficientnet
    model.dtype = "float32"  # of the computation: float32 or bfloat16
    model.param_dtype = "float32"  # of stored parameters: float32 or bfloat16, whose 8 bits lose small updates
    model.remat = ""  # stages ("stem..stage2", all) computed again in the backward pass: less memory on a GPU or TPU
    model.card = ConfigDict(sort_keys=False)  # how pixels are scaled, for weights that come without a card
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
    strategy.moving_statistics = ()  # frozen groups whose BatchNorm statistics follow the data all the same

    config.task = ConfigDict(sort_keys=False)
    config.task.name = "classification"  # a file in tljax/tasks/

    config.adaptation = adaptation = ConfigDict(sort_keys=False)
    adaptation.name = (
        ""  # a file in tljax/transfer/adaptation/: features of training and data.unlabelled meet; "": none
    )
    adaptation.weight = 1.0  # of its term in the loss; dann: of the reversed gradient
    adaptation.ramp = 10.0  # the weight rises by 2 / (1 + exp(-ramp p)) - 1, p: share of the run done; 0: constant
    adaptation.classifier_scale = 1.0  # dann: the domain classifier's factor on optimizer.lr

    config.optimizer = optimizer = ConfigDict(sort_keys=False)
    optimizer.name = "sgd"  # any of optax, contrib.* too, or "package.module:function", "file.py:function"
    optimizer.lr = 0.01  # learning rate of a group at scale 1
    optimizer.weight_decay = 0.0  # decoupled where the optimizer takes one (adamw, lion), else L2 in the gradient
    optimizer.decay_norms_and_biases = True  # False: decay only leaves of two or more dimensions
    optimizer.kwargs = ConfigDict(sort_keys=False)  # the optimizer's own keyword arguments
    # Means of weights, which evaluation and model/ take, BatchNorm statistics measured anew: a pass an evaluation.
    optimizer.ema = 0.0  # decay of the running mean of what learns; 0: none
    # SWA: share of the run from which on, in its last phase, the weights at the ends of epochs join an equal mean;
    optimizer.swa = 0.0  # 1 - k / epochs: that of the last k; 0: none
    optimizer.accumulate = 1  # micro-batches that a batch is split into, one after another: so much less memory a step
    optimizer.clip = 0.0  # largest global norm of the learning groups' gradients; 0: no limit
    optimizer.schedule = "constant"  # constant, cosine, exponential, linear, step, or "package.module:function"
    optimizer.schedule_kwargs = ConfigDict(sort_keys=False)  # the schedule's own keyword arguments
    optimizer.any_factor = False  # True: a schedule whose largest factor lies outside of 0.5 to 2 is meant so
    optimizer.warmup = 0.0  # share of all steps in which the rate first rises from 0
    # group -> those of lr, weight_decay, schedule, schedule_kwargs, name and kwargs in which it differs from the run:
    # --config.optimizer.groups.head.lr=1e-3. With an lr of its own a group learns at that wherever the strategy lets it
    optimizer.groups = ConfigDict(sort_keys=False)

    config.train = train = ConfigDict(sort_keys=False)
    train.epochs = 10.0  # passes over the training part
    train.min_steps = 0  # updates at least, however few the examples; an epoch then is that much longer
    train.batch_size = 64  # examples a step, over all devices
    train.eval_batch_size = 256  # examples a batch in evaluation
    train.eval_epochs = 1.0  # epochs between evaluations on the validation part
    train.checkpoint_epochs = 1.0  # epochs between checkpoints; resuming is exact from any step
    train.minutes = 0.0  # that a run may take: a step is measured, and as many are taken as fit; 0: any
    train.checkpoint_minutes = 10.0  # and at most so many minutes between them; 0: any
    train.keep_checkpoints = 2  # latest ones kept
    train.patience = 0  # end the last phase after so many evaluations without a better one; 0: never
    train.best = ""  # the metric that the best epoch has: accuracy, loss, f1_macro, ...; "": the task's own
    train.select = "validation"  # which epoch is kept: best on the validation part, or by entropy on data.unlabelled
    train.oracle = False  # evaluate data.targets each time too, and report their best epochs, which choose nothing
    train.log_steps = 50  # steps between lines in metrics.jsonl

    # files in tljax/reporting/writers/ that are given every number: tensorboard, csv, mlflow, wandb, trackio;
    config.writers = ("tensorboard",)  # metrics.jsonl is always written

    # report/index.html: full, short (nothing is computed for it: no heat maps, features, baselines) or none
    config.report = "full"

    # Several runs, one table: row -> ("key=value", ...) on top of this config; "{suite}", "{seed}" are filled in.
    config.suite = suite = ConfigDict(sort_keys=False)
    suite.rows = ConfigDict(sort_keys=False)  # empty: one plain run
    suite.seeds = (0,)  # every row runs with every seed
    suite.first = ()  # overrides of one run that comes before all rows, in {suite}/first

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
