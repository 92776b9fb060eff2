"""Python that loads an exported file where it is: torchvision, timm, transformers, numpy, JAX, onnxruntime."""

import datetime
import re
from pathlib import Path

from tljax.core.plugins import find
from tljax.networks import sizes
from tljax.serving.saved_model import Model
from tljax.tasks import FitsBackbone

MONTHS = 6  # for which jax.export guarantees that a later JAX reads its files
# family -> the name of a variant in the library whose names the tensors have
TORCHVISION = {
    "resnet": lambda v: {"wide50_2": "wide_resnet50_2"}.get(v, v if v.startswith("resnext") else f"resnet{v}"),
    "vgg": lambda v: f"vgg{v}",
    "densenet": lambda v: f"densenet{v}",
    "convnext": lambda v: f"convnext_{v}",
    "mobilenet": lambda v: f"mobilenet_{v}",
    "efficientnet": lambda v: f"efficientnet_{v}",
    "regnet": lambda v: f"regnet_{v}",
    "swin": lambda v: f"swin_{v[0]}",
}
VIT = re.compile(r"(deit_)?(tiny|small|base|large)(16|32)(_distilled)?")


def of(model: Model, to: str, file: Path) -> str:
    """The content of a .py that loads `file`, beside which it lies; classes and preprocessing stand in it."""
    write = {"safetensors-torch": _torch, "stablehlo": _stablehlo, "onnx": _onnx}.get(to, _arrays)
    lines = write(model, file)
    return "\n".join((f'"""Loads {file.name}, which `tljax export --to={to}` wrote."""', "", *lines)) + "\n"


def until(today: datetime.date | None = None) -> datetime.date:
    """Until when a StableHLO file written today is guaranteed to be read."""
    month = (today := today or datetime.date.today()).month + MONTHS
    return today.replace(year=today.year + (month - 1) // 12, month=(month - 1) % 12 + 1, day=min(today.day, 28))


def named(model: Model) -> str:
    """The call that builds the network in the library that its tensors' names come from; "" if it has no such network.

    No library has a head on several stages.
    """
    family = find("families", model.family)
    if isinstance(model.variant, str):
        variant = model.variant
    else:
        variant, others = sizes.nearest(family.VARIANTS, family.variant_of(model.variant))
        variant = "" if others else variant
    classes = len(model.classes)
    if not variant or model.input.get("channels", 3) != 3 or isinstance(model.task, FitsBackbone):
        return ""
    if model.family in TORCHVISION:
        return f"torchvision.models.{TORCHVISION[model.family](variant)}(num_classes={classes})"
    if model.family == "vit" and (found := VIT.fullmatch(variant)):
        deit, size, patch, distilled = found.groups()
        name = f"{'deit' if deit else 'vit'}_{size}{'_distilled' if distilled else ''}_patch{patch}_224"
        return f'timm.create_model("{name}", num_classes={classes}, img_size={model.input["size"]})'
    return ""


def _torch(model: Model, file: Path) -> list[str]:
    if "lengths" in model.input:
        return [
            "from pathlib import Path", "", "import transformers", "",
            "HERE = Path(__file__).parent",
            "tokenizer = transformers.AutoTokenizer.from_pretrained(HERE)",
            "encoder = transformers.AutoModel.from_pretrained(HERE).eval()  # the head's tensors lie in the same file",
            f"CLASSES = {list(model.classes)!r}",
            f"PREFIX = {model.input.get('prefix', '')!r}  # stands before every text",
        ]  # fmt: skip
    build = named(model)
    if not build:
        return [
            "from pathlib import Path", "", "from safetensors.torch import load_file", "",
            f"tensors = load_file(Path(__file__).with_name({file.name!r}))",
            "# No network of torchvision or timm has these sizes and this head: build it, and load with strict=True.",
            f"CLASSES = {list(model.classes)!r}",
        ]  # fmt: skip
    library = build.partition(".")[0]
    return [
        "from pathlib import Path",
        "",
        "import numpy as np",
        *sorted([f"import {library}", "import torch"]),
        "from PIL import Image",
        "from safetensors.torch import load_file",
        "",
        f"CLASSES = {list(model.classes)!r}",
        f"model = {build}",
        f"model.load_state_dict(load_file(Path(__file__).with_name({file.name!r})), strict=True)",
        "model.eval()",
        "",
        "",
        *_prepare(model),
        "",
        "",
        "# with torch.no_grad():",
        '#     pixels = torch.from_numpy(prepare(Image.open("picture.jpg"))).permute(0, 3, 1, 2)',
        f"#     {_answer(model, 'model(pixels).numpy()')}",
    ]


def _answer(model: Model, logits: str) -> str:
    """The line that makes the answer from an expression for the network's output, by the kind of labels."""
    kind = model.task.LABEL_KIND
    if kind == "classes":
        return f"print(CLASSES[{logits}.argmax()])"
    if kind == "sets":
        return f"print(dict(zip(CLASSES, 1 / (1 + np.exp(-{logits}[0])))))  # the probability of each"
    if kind == "numbers":
        mean, std = ([float(x) for x in values] for values in (model.task.mean, model.task.std))
        return f"print(dict(zip(CLASSES, {logits}[0] * np.array({std!r}) + np.array({mean!r}))))"
    if kind == "maps":
        return f"print({logits}.argmax(-1))  # (1, h, w): the place of each pixel's class in CLASSES"
    return f"outputs = {logits}"


def _prepare(model: Model) -> list[str]:
    """What the run did with a picture, `Card` and `input` saying it, in PIL and numpy: (1, S, S, C) float32."""
    card, said = model.card, model.input
    stored, seen = said["resize"], said["crop"] or said["resize"]
    resized = said["size"] not in (0, seen)
    flipped = "[..., ::-1]" if card.channel_order == "BGR" else ""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[said["channels"]]
    shape = "[..., None]" if mode == "L" else ""
    normalised = [
        f"    pixels = (pixels - np.array({list(card.mean)!r})) / np.array({list(card.std)!r})",
        "    return pixels.astype(np.float32)[None]",
    ]
    if into := said.get("shape"):
        return [
            "def prepare(image):",
            f"    scale = min({into[0]} / image.height, {into[1]} / image.width)",
            f"    high = max(1, min({into[0]}, round(image.height * scale)))",
            f"    wide = max(1, min({into[1]}, round(image.width * scale)))",
            f'    image = image.convert("{mode}").resize((wide, high), Image.Resampling.{card.interpolation.upper()})',
            f"    edges = ((0, {into[0]} - high), (0, {into[1]} - wide), (0, 0))",
            f"    pixels = np.pad(np.asarray(image, np.float32){shape}, edges){flipped} / {card.scale!r}",
            *normalised,
        ]
    return [
        "def prepare(image):",
        f"    scale = {stored} / min(image.size)",
        f"    wide, high = (max({stored}, round(side * scale)) for side in image.size)",
        f'    image = image.convert("{mode}").resize((wide, high), Image.Resampling.{card.interpolation.upper()})',
        f"    left, top = ((side - {stored}) // 2 + {(stored - seen) // 2} for side in (wide, high))",
        f"    image = image.crop((left, top, left + {seen}, top + {seen}))",
        *(
            [f"    image = image.resize(({said['size']}, {said['size']}), Image.Resampling.BILINEAR)"]
            if resized
            else []
        ),
        f"    pixels = np.asarray(image, np.float32){shape}{flipped} / {card.scale!r}",
        *normalised,
    ]


def _stablehlo(model: Model, file: Path) -> list[str]:
    texts = "lengths" in model.input
    call = "program.call(ids, types, tokens)" if texts else "program.call(pictures)"
    fitted = "fitted in whole, black below or on the right"
    fitted = fitted if model.input.get("shape") else "their shorter side resized and the centre cut out"
    what = (
        "ids and types (b, l) int32, tokens (b, l) bool"
        if texts
        else f"pictures: {('b', *model.stored)} uint8, RGB, {fitted}"
    )
    return [
        "from pathlib import Path", "", "import jax", "",
        f"# JAX guarantees for six months that a later version reads this file: until {until()}. Export it again then.",
        f"program = jax.export.deserialize(bytearray(Path(__file__).with_name({file.name!r}).read_bytes()))",
        f"CLASSES = {list(model.classes)!r}",
        f"# {what}",
        f"# logits = {call}",
    ]  # fmt: skip


def _onnx(model: Model, file: Path) -> list[str]:
    return [
        "from pathlib import Path",
        "",
        "import numpy as np",
        "import onnxruntime",
        "from PIL import Image",
        "",
        f"CLASSES = {list(model.classes)!r}",
        f"session = onnxruntime.InferenceSession(Path(__file__).with_name({file.name!r}).read_bytes())",
        "",
        "",
        *_prepare(model),
        "",
        "",
        "def logits(image):",
        "    return session.run(None, {session.get_inputs()[0].name: prepare(image)})[0]",
        "",
        "",
        "# " + _answer(model, 'logits(Image.open("picture.jpg"))'),
    ]


def _arrays(model: Model, file: Path) -> list[str]:
    load = (
        ("import numpy as np", f"arrays = np.load(Path(__file__).with_name({file.name!r}))")
        if file.suffix == ".npz"
        else (
            "from safetensors.numpy import load_file",
            f"arrays = load_file(Path(__file__).with_name({file.name!r}))  # the paths of nn.Module.apply, by dots",
        )
    )
    return ["from pathlib import Path", "", load[0], "", load[1], f"CLASSES = {list(model.classes)!r}"]
