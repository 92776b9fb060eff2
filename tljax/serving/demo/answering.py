"""One example's answer with its reasons, as the page shows it."""

import threading
from typing import Any

import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import Json, Record
from tljax.data import pictures
from tljax.reporting.page import pictures as drawn
from tljax.serving import questions
from tljax.serving.demo.nearest import Nearest
from tljax.serving.explain import asked, words
from tljax.serving.explain.heat_maps import HeatMaps
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model

SHOWN = 10  # classes
SIDE = 320  # pixels of a map


class Answering:
    """Asks the model about one picture, text or pair at a time. Only the thread that holds `lock` may compute."""

    def __init__(self, model: Model, nearest: Nearest | None = None, without: str = "") -> None:
        """`without` says why there are no nearest training examples."""
        self.model, self.lock, self.without = model, threading.Lock(), without
        self.kind, self.pairs = questions.kind(model), bool(model.input.get("pairs"))
        self._nearest = nearest
        self._predictor = Predictor(model, batch_size=1)  # as `tljax predict` asks about one: the same digits
        self._many = Predictor(model) if self.kind == "text" else self._predictor  # the text without each of its words
        self._maps, self._no_maps = _maps(model) if self.kind == "picture" else (None, "")

    def of_picture(self, content: bytes) -> Record:
        """The answer about the picture in a file's bytes.

        Raises:
          ValueError: it cannot be read.
        """
        with self.lock:
            most = self.model.input.get("max_pixels", pictures.MOST)
            example = {"image": pictures.decode(content, channels=self.model.input["channels"], most=most)}
            output = self._output(example)
            return self._said(output) | self._heat(example, output) | self._near(example)

    def of_text(self, texts: list[str]) -> Record:
        """The answer about a text, or about the two of a pair.

        Raises:
          ValueError: it is empty, has no tokens or is no Unicode; another number of texts.
        """
        for text in texts:
            text.encode()  # halves of surrogate pairs are an error
        if len(texts) != 1 + self.pairs:
            raise ValueError(f"this run is asked about {'pairs of texts' if self.pairs else 'one text'}")
        text = "\t".join(text.replace("\t", " ") for text in texts) if self.pairs else texts[0]
        with self.lock:
            cut = self._predictor.cut
            output = self._output(text)
            notes = [f"cut to {self.model.input['lengths'][-1]} tokens"] if self._predictor.cut > cut else []
            return self._said(output) | {"notes": notes} | self._words(text, output) | self._near(text)

    def _output(self, example: Any) -> np.ndarray:
        ((_, output),) = self._predictor.answers([example])
        if isinstance(output, ValueError):
            raise output
        return np.asarray(output)

    def _said(self, output: np.ndarray) -> Record:
        """What `tljax predict` says."""
        task, classes = self.model.task, self.model.classes
        answer = task.answer(output, classes, SHOWN)
        more = len(classes) - SHOWN if task.LABEL_KIND == "classes" else 0
        return {"labels": task.LABEL_KIND, "answer": answer, "more": max(more, 0), "notes": []}

    def _heat(self, example: Json, output: np.ndarray) -> Record:
        """What the network saw, and each map over it, for the most probable class or label, or the first number."""
        if self._maps is None:
            return {"heat": [], "no_heat": self._no_maps}
        number = asked.most(self.model.task.LABEL_KIND, output, 1)[0]
        looked = self._maps([self.model.asked.read(example)], [number])
        shown = [("what the network saw", drawn.thumbnail(looked.seen[0], "", SIDE))]
        for name, found in looked.maps.items():
            caption = f"{name} for {self.model.classes[number]}"
            shown.append((caption, drawn.overlay(looked.seen[0], found[0], "", SIDE)))
        return {"heat": [{"source": picture.source, "caption": caption} for caption, picture in shown], "no_heat": ""}

    def _words(self, text: str, output: np.ndarray) -> Record:
        """By how much the probability of the most probable class or label, or the first number, falls without each
        word.
        """
        if self.model.task.LABEL_KIND not in asked.KINDS:
            return {"words": [], "about": ""}
        number = asked.most(self.model.task.LABEL_KIND, output, 1)[0]
        pieces = words.of(self._many, text, number)
        return {"words": [{"text": p.text, "effect": p.effect} for p in pieces], "about": self.model.classes[number]}

    def _near(self, example: Any) -> Record:
        if self._nearest is None:
            return {"nearest": [], "near_note": self.without}
        return {"nearest": self._nearest.of(example), "near_note": self._nearest.note}


def _maps(model: Model) -> tuple[HeatMaps | None, str]:
    """(The heat maps of a model, "") or (None, why it has none)."""
    try:
        if model.task.LABEL_KIND not in asked.KINDS or model.network.reads:
            raise ConfigError("A heat map is of one output, told from one feature vector; this run's answer is not.")
        return HeatMaps(model), ""
    except ConfigError as error:
        return None, f"No heat map: {error}"
