"""The names that other trainers have for the keys of a config, and synonyms."""

# key -> its names in timm, fastai, transformers, Keras, ultralytics, big_vision, Lightning and torchvision
ALSO_CALLED = {
    "seed": "random seed, random state, manual seed, seed everything, rng",
    "parallel": "device, accelerator, gpus, strategy ddp, distributed, pmap, devices",
    "writers": "logger, loggers, report to, callbacks, tensorboard, wandb, mlflow, tracker",
    "profile": "profiler, trace, tracing, profile steps",
    "groups": "splitter, param groups, parameter groups, layer groups",
    "data.source": "dataset, data set, dataset type, loader",
    "data.dir": (
        "data, path, data path, root, data root, folder, directory, data dir, train dir, image folder, train "
        "file, file, csv, csv file"
    ),
    "data.splits.train": "train split, training split",
    "data.splits.validation": "validation split name, validation set, validation file, validation dir",
    "data.splits.test": "test split, test set, test file, test dir",
    "data.fractions": "fraction, ratio, split ratio, train test split, splits",
    "data.validation": (
        "validation, validation split, validation fraction, validation size, validation percent, holdout"
    ),
    "data.train_examples": "train samples, train size, subset, limit train batches, samples, limit",
    "data.examples_per_class": "shots, few shot, samples per class, k shot",
    "data.classes": "class names, number classes, labels count, nc, categories, single class",
    "data.channels": "in channels, in chans, image channels, color mode, grayscale, rgb",
    "data.size": (
        "image size, img size, imgsz, input size, input shape, resolution, train crop size, target size, "
        "height, width, pixels"
    ),
    "data.resize": "resize size, resize, shorter side, scale size",
    "data.crop": "crop percent, crop size, center crop, random crop",
    "data.flip": "horizontal flip, hflip, fliplr, random flip, mirror",
    "data.min_area": "random resized crop, scale min, area, scale range",
    "data.pad": "padding, pad",
    "data.augment": (
        "augmentation, augmentations, auto augment, aa, randaugment, transforms, color jitter, random "
        "erasing, item transforms, batch transforms"
    ),
    "data.labels": "label mode, label type, labels",
    "data.columns.text": "text column, text field, input column, sentence",
    "data.columns.pair": "text pair, second text, sentence 2, pair column",
    "data.columns.label": "label column, target column, label field, class column",
    "data.lengths": "sequence length, max sequence length, token length, max length, max tokens, seq len",
    "data.delimiter": "separator of columns, sep",
    "data.in_memory": "cache images, preload, ram",
    "data.group": "group column, patient, subject, group by",
    "data.duplicates": "deduplicate, dedup, remove duplicates",
    "data.unreadable": "skip errors, ignore errors, corrupt",
    "model.family": "model name, arch, architecture, backbone, model type, encoder, model, network, net",
    "model.variant": "model size, depth, version, model variant",
    "model.weights": (
        "pretrained, checkpoint, checkpoint path, initial checkpoint, model init, init from, resume, "
        "pretrained path, model path, load from, restore, finetune, finetuned from, model name or path, model "
        "file"
    ),
    "model.tokenizer": "tokenizer name, vocab, vocabulary",
    "model.prefix": "checkpoint key, state dict key, weights key",
    "model.drop_path": "drop path rate, stochastic depth, stochastic depth prob, drop rate, drop connect",
    "model.dtype": (
        "precision, amp, mixed precision, amp dtype, fp16, bf16, half, bfloat16, float16, compute dtype, autocast"
    ),
    "model.remat": "gradient checkpointing, activation checkpointing, rematerialize, recompute",
    "model.card.mean": "image mean, pixel mean, normalize mean, img norm mean",
    "model.card.std": "image std, pixel std, normalize std",
    "model.card.interpolation": "interpolation mode, resample",
    "strategy.name": "strategy, method, peft, fine tune, tuning, transfer mode",
    "strategy.scales": (
        "freeze, frozen, freeze layers, freeze backbone, trainable, requires grad, lr multipliers, lr mults, "
        "layer lr, discriminative lr"
    ),
    "strategy.layer_decay": "layer decay rate, llrd, layerwise lr decay, layer wise decay",
    "strategy.unfreeze": "gradual unfreezing, unfreezing",
    "strategy.unfreeze_share": "unfreeze epochs",
    "strategy.probe_share": "freeze epochs, frozen epochs, head epochs, linear probe epochs",
    "strategy.last_k": "number of layers, unfreeze last, trainable layers, last layers",
    "strategy.rank": "r, lora r, lora rank, lora dim",
    "strategy.alpha": "lora alpha, lora scale",
    "strategy.dropout": "dropout, lora dropout, dropout rate",
    "strategy.kernels": "target modules, lora modules, modules",
    "strategy.classifier": "sklearn, head classifier, estimator",
    "task.name": "task, task type, problem type, loss, criterion, objective, loss function",
    "task.label_smoothing": "smoothing, label smoothing factor, smooth labels",
    "task.mixup": "mixup alpha",
    "task.cutmix": "cutmix alpha",
    "task.class_weights": "class weight, loss weights, balance classes, weights per class",
    "task.mask_share": "mlm probability, mask prob, masking rate, mlm",
    "task.pos_weight": "positive weight",
    "task.threshold": "decision threshold, cutoff",
    "adaptation.name": "domain adaptation, uda, adaptation method",
    "adaptation.weight": "adaptation lambda, domain loss weight, trade off",
    "optimizer.name": "optimizer, optim, opt, optimizer type, opt func, solver, optax name, algorithm",
    "optimizer.lr": (
        "learning rate, lr0, base lr, max lr, lr max, peak lr, initial lr, init lr, step size, eta, alpha lr"
    ),
    "optimizer.weight_decay": "wd, l2, weight decay rate, regularization, l2 regularization, decay",
    "optimizer.decay_norms_and_biases": (
        "norm weight decay, bias weight decay, no decay, exclude bias, decay norm, decay bias, wd on norm"
    ),
    "optimizer.kwargs": (
        "momentum, moms, beta1, beta2, betas, epsilon, eps, nesterov, optimizer args, optim args, opt args, "
        "adam beta1, adam epsilon, amsgrad, rho, opt betas, optimizer arguments, optimizer parameters"
    ),
    "optimizer.ema": "model ema, ema decay, use ema, ema momentum, moving average, polyak averaging, weight averaging",
    "optimizer.swa": "stochastic weight averaging, average weights, swa start",
    "optimizer.accumulate": (
        "gradient accumulation steps, grad accum, accumulate grad batches, accumulation, iters to accumulate, "
        "micro batch, microbatches, update freq"
    ),
    "optimizer.clip": (
        "clip grad, gradient clip, clip norm, global clipnorm, max grad norm, gradient clip val, clip value, "
        "clip mode, grad clip norm"
    ),
    "optimizer.schedule": (
        "lr scheduler, lr schedule, scheduler, sched, scheduler type, lr scheduler type, cosine lr, cos lr, "
        "decay type, lr policy, annealing, learning rate schedule"
    ),
    "optimizer.schedule_kwargs": (
        "min lr, final lr, lrf, lr min, end lr, gamma, lr gamma, lr step size, decay rate, decay epochs, "
        "milestones, scheduler kwargs, lr scheduler kwargs, power, eta min, cycle"
    ),
    "optimizer.warmup": (
        "warmup epochs, warmup steps, warmup ratio, warmup lr, warmup iterations, num warmup steps, linear warmup"
    ),
    "optimizer.groups": "wd mults, group lr, param groups options, per group",
    "train.epochs": (
        "number of epochs, num train epochs, n epoch, max epochs, total epochs, epoch, iterations, max steps, "
        "total steps, train steps, num steps, training steps, nb epoch, max iter"
    ),
    "train.min_steps": "min steps, minimum updates",
    "train.batch_size": (
        "batch, bs, per device train batch size, train batch size, nominal batch size, minibatch, samples per "
        "gpu, nbs, batch size per gpu"
    ),
    "train.eval_batch_size": "validation batch size, test batch size, per device eval batch size, predict batch size",
    "train.eval_epochs": (
        "eval steps, eval strategy, evals, eval frequency, eval interval, validation interval, check "
        "validation every n epoch, evaluation strategy, eval every, validation frequency, evaluate"
    ),
    "train.checkpoint_epochs": (
        "save steps, save strategy, save period, checkpoint steps, ckpt steps, save every, save interval, "
        "save freq, checkpoint interval, checkpoint frequency, save epochs"
    ),
    "train.checkpoint_minutes": "save minutes, checkpoint time",
    "train.keep_checkpoints": (
        "save total limit, checkpoint hist, keep ckpt steps, max to keep, keep last, save top k, checkpoints "
        "to keep, max keep"
    ),
    "train.patience": "early stopping, early stopping patience, early stop, stop early",
    "train.select": (
        "metric for best model, eval metric, load best model at end, monitor, save best, best metric, best model"
    ),
    "train.log_steps": (
        "logging steps, log interval, log every n steps, verbose, print freq, log frequency, log training "
        "steps, log every, display"
    ),
    "suite.seeds": "repeats, number of runs, n seeds",
}
# Word in a name -> its synonym in the phrases.
WORDS = {
    "val": "validation", "valid": "validation", "dev": "validation", "validate": "validation",
    "evaluation": "eval", "img": "image", "images": "image", "picture": "image", "pictures": "image", "imgs": "image",
    "grad": "gradient", "grads": "gradient", "gradients": "gradient", "training": "train", "trn": "train",
    "pct": "percent", "perc": "percent", "freq": "frequency", "interp": "interpolation", "ckpt": "checkpoint",
    "ckpts": "checkpoint", "checkpoints": "checkpoint", "optim": "optimizer", "optimiser": "optimizer",
    "opt": "optimizer", "sched": "scheduler", "lrs": "lr", "tfms": "transforms", "aug": "augmentation",
    "augs": "augmentation", "cls": "class", "classes": "class", "dir": "directory", "dirs": "directory",
    "params": "parameter", "parameters": "parameter", "accum": "accumulation", "accumulate": "accumulation",
    "steps": "step", "iters": "iterations", "samples": "sample", "labels": "label", "epoch": "epochs",
    "seq": "sequence", "probability": "prob", "center": "centre",
}  # fmt: skip
EMPTY = frozenset({
    "num", "n", "nb", "number", "max", "total", "per", "device", "use", "the", "of", "at", "end", "or", "and", "by",
    "to", "my", "default", "value",
})  # fmt: skip
