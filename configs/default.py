"""Every key, its default, one comment each. An experiment is this plus what differs."""

from typing import Any

from ml_collections import ConfigDict


def get_config() -> Any:
    config: Any = ConfigDict(sort_keys=False)
    config.seed = 0  # draws splits, initial values, order, augmentation: all chance in a run
    config.parallel = "jit"  # jit (over a mesh) or pmap; without dropout both give the same run

    config.data = data = ConfigDict(sort_keys=False)
    data.source = "digits"  # a file in tljax/data/sources/
    data.dir = ""  # image_folder: the folder of splits; tfds: where prepared sets lie
    data.name = ""  # tfds: the data set, "cifar10"; docstrings: the package, "scipy"
    data.download = True  # tfds: fetch and prepare a set that is missing
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
    data.columns = ConfigDict(
        {"text": "text", "pair": "", "label": "label"}, sort_keys=False
    )  # text_csv, tfds: names of columns; pair: the second text, of pairs; label: of numbers and sets "a,b" is two
    data.labels = "classes"  # text_csv: what a label is: classes (one a text), numbers, sets (of labels), none
    data.similar_labels = "error"  # classes that differ in spelling alone (Pos, pos; 1, 1.0): error, merge, keep apart
    # text_csv: cells that mean nothing, as pandas writes them; () where they are texts or classes
    data.missing = ("nan", "NaN", "NAN", "NaT", "<NA>", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None")
    data.delimiter = ""  # text_csv: between fields; "": comma in .csv, tab in .tsv, or what fits the header, and said
    data.header = ()  # text_csv: names of all columns, where the first line of a table is a row already
    data.decimal = ""  # text_csv, numbers: "," reads 0,5 and 1.000,5; "." reads 1,000.5; "": 0.5, no other commas
    # By what examples stay together in one part (a patient, a video): a regular expression with one group that finds
    data.group = ""  # it in the path below data.dir, "/(p[0-9]+)_"; of tables the name of a column; "": each alone
    data.separator = "|"  # text_csv: between the labels of a set in one column; of several columns each is 0 or 1
    data.quotes = True  # text_csv: fields may stand in double quotes; false: those are part of the texts
    data.encoding = "utf-8"  # texts: how they are written
    data.lengths = (64, 128, 256)  # texts: tokens that batches are padded to; beyond the last they are cut, and counted
    data.duplicates = "keep"  # texts that repeat, in any split: keep, or remove (counted and listed)
    data.unreadable = "error"  # a picture that cannot be read, an empty text: error, or skip (counted and listed)
    data.in_memory = True  # decode once into memory, or anew for every batch
    data.resize = 0  # pixels of the shorter side after decoding, then the central square; 0: as stored
    data.crop = 0  # pixels cut out of that: at random in training, the centre in evaluation; 0: all
    data.size = 32  # pixels into the network
    data.pad = 0  # training: pixels of black around the picture before the random crop
    data.min_area = 0.0  # training: random resized crop of at least this share of the picture; 0: none
    data.flip = False  # training: mirror every other picture
    data.augment = True  # False: training sees pictures as evaluation does, whatever the keys above say
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
    model.card.interpolation = "bilinear"  # bilinear, bicubic, nearest or lanczos

    config.groups = ConfigDict(
        sort_keys=False
    )  # group -> stages, "stem..stage2", path patterns; empty: one group a stage

    config.strategy = strategy = ConfigDict(sort_keys=False)
    strategy.name = "full"  # a file in tljax/transfer/strategies/
    strategy.scales = ConfigDict(sort_keys=False)  # groups: group -> factor on optimizer.lr, 0 is frozen
    strategy.last_k = 1  # last_k: stages before the head that learn
    strategy.layer_decay = 0.0  # layer_decay, gradual_unfreeze: factor from each group to the one before; 0: chosen
    strategy.unfreeze_share = 0.5  # gradual_unfreeze: share of the run over which groups begin to learn
    strategy.unfreeze = "each"  # gradual_unfreeze: group by group from the head, or dense_conv_full: in three steps
    strategy.probe_share = 0.5  # lp_ft: share of the run in which only the head learns
    strategy.tune_scale = 0.1  # lp_ft: the backbone's scale after that
    # bitfit, norm_only, lora, adapter, l2_sp, mixout
    strategy.backbone_scale = 1.0  # scale of what learns in the backbone, the head's being 1; in L2-SP's paper 0.1
    strategy.kernels = "backbone/.*/kernel"  # those that lora, adapter, l2_sp, mixout are about, chosen as in groups
    strategy.lora_rank = 8  # lora: r; here and alpha as for RoBERTa base in the paper
    strategy.lora_alpha = 8.0  # lora: an update is multiplied by alpha / rank
    strategy.lora_dropout = 0.0  # lora: share of the inputs of A dropped in a training step; 0.1 for GPT-2 in the paper
    strategy.adapter_norms = True  # adapter: normalisation learns too, as in the paper
    strategy.l2_sp_alpha = 0.1  # l2_sp: pull of the backbone to its start; the authors' code has 0.1
    strategy.l2_sp_beta = 0.01  # l2_sp: pull of the head to 0; the authors' code has 0.01
    strategy.mixout = 0.7  # mixout: share of inputs that go by their start in a training step; paper: 0.7, 0.8, 0.9
    strategy.classifier = "logistic"  # classic: logistic, linear_svm, rbf_svm, knn, random_forest or ridge
    strategy.folds = 5  # classic: of the cross-validation; a smaller class has as many as it has examples
    strategy.auto = auto = ConfigDict(sort_keys=False)
    auto.much = 200.0  # auto: training examples a class from which data are much
    auto.very_much = 5000.0  # auto: and very much
    auto.similar = 0.7  # auto: from which similarity on (0: chance, 1: no error among nearest frozen features)
    auto.little_similar = "linear_probe"  # auto: strategy of this cell; further keys are those of the strategy
    auto.little_different = "last_k"  # auto: the same
    auto.much_similar = "layer_decay"  # auto: the same
    auto.much_different = "full"  # auto: the same
    auto.very_much_different = "scratch"  # auto: the same
    strategy.moving_statistics = ()  # frozen groups whose BatchNorm statistics follow the data all the same

    config.task = ConfigDict(sort_keys=False)
    config.task.name = "classification"  # a file in tljax/tasks/
    config.task.label_smoothing = 0.0  # Szegedy et al. 2015, section 7
    config.task.mixup = 0.0  # training: alpha of mixup (Zhang et al. 2018: 0.2 to 0.4); 0: none
    config.task.cutmix = 0.0  # training: alpha of CutMix (Yun et al. 2019: 1); 0: none; with mixup, either
    # what an example counts in the loss: balanced, "cat=2", "dog=1" by name, or a number a class; (): all the same
    config.task.class_weights = ()
    config.task.mask_share = 0.15  # masked_lm: share of a text's tokens that are hidden
    config.task.whole_words = False  # masked_lm: hide words, not tokens; tokenizers of WordPiece alone show them
    config.task.huber = 0.0  # regression: from so many standard deviations on the loss is linear; 0: squares
    config.task.threshold = 0.5  # multilabel: the probability from which on a label holds
    # multilabel: what a yes counts in the loss: balanced (no / yes), "old=2", "new=1", or a number a label
    config.task.pos_weight = ()

    config.adaptation = adaptation = ConfigDict(sort_keys=False)
    adaptation.name = (
        ""  # a file in tljax/transfer/adaptation/: features of training and data.unlabelled meet; "": none
    )
    adaptation.weight = 1.0  # of its term in the loss; dann: of the reversed gradient
    adaptation.ramp = 10.0  # the weight rises by 2 / (1 + exp(-ramp p)) - 1, p: share of the run done; 0: constant
    adaptation.estimator = "unbiased"  # mmd: unbiased or biased
    adaptation.bandwidth = 0.0  # mmd: sigma of a kernel of width 1; 0: the median distance in the batch
    adaptation.widths = (0.25, 0.5, 1.0, 2.0, 4.0)  # mmd: a kernel each, factors on the square of sigma
    adaptation.hidden = (100,)  # dann: units of the domain classifier's hidden layers
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
    train.checkpoint_minutes = 10.0  # and at most so many minutes between them; 0: any
    train.keep_checkpoints = 2  # latest ones kept
    train.patience = 0  # end the last phase after so many evaluations without a better one; 0: never
    train.select = "validation"  # which epoch is kept: best on the validation part, or by entropy on data.unlabelled
    train.oracle = False  # evaluate data.targets each time too, and report their best epochs, which choose nothing
    train.log_steps = 50  # steps between lines in metrics.jsonl

    # files in tljax/reporting/writers/ that are given every number: tensorboard, csv, mlflow, wandb, trackio;
    config.writers = ("tensorboard",)  # metrics.jsonl is always written

    # Several runs, one table: row -> ("key=value", ...) on top of this config; "{suite}", "{seed}" are filled in.
    config.suite = suite = ConfigDict(sort_keys=False)
    suite.rows = ConfigDict(sort_keys=False)  # empty: one plain run
    suite.seeds = (0,)  # every row runs with every seed
    suite.first = ()  # overrides of one run that comes before all rows, in {suite}/first

    config.lock()
    for open_table in (
        config.groups,
        strategy.scales,
        optimizer.kwargs,
        optimizer.schedule_kwargs,
        optimizer.groups,
        suite.rows,
    ):
        open_table.unlock()
    return config
