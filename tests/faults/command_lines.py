"""Faults of the command line and of the config: cases 34 to 40, and section B of issue 13."""

from tests.faults.making import CONFIG, DIGITS, Fault, Scene


def flags(*some: str) -> list[str]:
    return [*DIGITS, *some]


def failing_file(scene: Scene) -> list[str]:
    (scene.root / "mine.py").write_text("x = 1\n")
    return ["train", "mine.py"]


CASES = {
    "34 unknown key": Fault(
        flags("--config.optimizer.lrr=1"), CONFIG, ["config.optimizer.lrr is no key", "'config.optimizer.lr'"]
    ),
    "34 a synonym": Fault(
        flags("--config.learning_rate=1"), CONFIG, ["config.learning_rate is no key", "'config.optimizer.lr'"]
    ),
    "34 a synonym in a section": Fault(
        flags("--config.train.num_epochs=1"), CONFIG, ["config.train.num_epochs is no key", "'config.train.epochs'"]
    ),
    "35 a rate that is no number": Fault(
        flags("--config.optimizer.lr=nan"), CONFIG, ["config.optimizer.lr must be a finite number > 0; got nan"]
    ),
    "35 a negative rate": Fault(
        flags("--config.optimizer.lr=-1"), CONFIG, ["config.optimizer.lr must be a finite number > 0; got -1"]
    ),
    "35 no examples in a batch": Fault(
        flags("--config.train.batch_size=0"), CONFIG, ["config.train.batch_size must be", "> 0; got 0"]
    ),
    "35 a float for a whole number": Fault(
        flags("--config.train.batch_size=1e2"), CONFIG, ["config.train.batch_size must be of type int", "got '1e2'"]
    ),
    "36 a tuple that does not end": Fault(
        flags("--config.data.classes=(("), CONFIG, ["config.data.classes must be of type tuple", "got '(('"]
    ),
    "36 a table that is none": Fault(
        flags("--config.groups=(("), CONFIG, ["config.groups must be a table; set its keys; got '(('"]
    ),
    "37 None for an optimizer's own argument": Fault(flags("--config.optimizer.kwargs.momentum=None"), 0, ["result:"]),
    "38 no such config": Fault(
        ["train", "digitz"], CONFIG, ["a Python file with get_config()", "digits", "got 'digitz'"]
    ),
    "38 a file without get_config": Fault(failing_file, CONFIG, ["mine.py must define get_config()"]),
    "38 no file at that place": Fault(
        ["train", "--config=nowhere/mine.py"], CONFIG, ["got 'nowhere/mine.py'", "cifar10_4000, digits"]
    ),
    "39 a group that matches nothing": Fault(
        flags("--config.groups={'low': 'convv9', 'rest': 'conv1..head'}"),
        CONFIG,
        ["matching nothing: low: 'convv9' matches no parameter", "The stages are conv1, conv2, fc1, head"],
    ),
    "40 parameters in no group": Fault(
        flags("--config.groups={'head': 'head'}"), CONFIG, ["parameters in no group: backbone/conv1/conv/bias"]
    ),
    "40 parameters in two groups": Fault(
        flags("--config.groups={'one': 'conv1..head', 'two': 'head'}"), CONFIG, ["two", "head/bias"]
    ),
}
