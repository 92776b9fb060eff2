"""`tljax demo`: the page answers as `tljax predict` does, only its own questions, and says in words what is wrong."""

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import signal
import threading

import pytest

from tests import browser
from tests.serving.test_evaluation import pictures, texts  # noqa: F401
from tljax.__main__ import main
from tljax.serving import saved_model
from tljax.serving.demo import nearest, server
from tljax.serving.demo.answering import Answering
from tljax.serving.explain import heat_maps

CONFIG = 2


@contextlib.contextmanager
def served(answering):
    """A demo that answers in a thread."""
    with server.Server(answering, "runs/<b>mine</b>") as demo:
        thread = threading.Thread(target=demo.serve_forever)
        thread.start()
        try:
            yield demo
        finally:
            demo.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def of_pictures(pictures):  # noqa: F811
    model = saved_model.load(pictures[0])
    with served(Answering(model, *nearest.find(pictures[0], model, 20))) as demo:
        yield demo


@pytest.fixture(scope="module")
def of_texts(texts):  # noqa: F811
    model = saved_model.load(texts[0])
    with served(Answering(model, *nearest.find(texts[0], model, 1_000))) as demo:
        yield demo


def request(demo, method="POST", path="/ask", body=b"", **headers):
    """(The status, the answer) of one request."""
    connection = http.client.HTTPConnection(server.ADDRESS, demo.server_port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()


def asked(demo, body):
    status, answer = request(demo, body=body, Content_Type=server.PICTURE if isinstance(body, bytes) else server.TEXT)
    assert status == 200, answer
    return json.loads(answer)


def predicted(capsys, folder, *questions):
    capsys.readouterr()
    assert main(["predict", str(folder), *map(str, questions), "--top=10", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["classes"]


def test_the_answer_about_a_picture_is_that_of_predict(of_pictures, pictures, capsys):  # noqa: F811
    folder, root, _ = pictures
    for file in (root / "test" / "ant" / "0.png", root / "test" / "fly" / "3.png"):
        assert asked(of_pictures, file.read_bytes())["answer"] == predicted(capsys, folder, file)


def test_a_training_picture_is_nearest_to_itself_and_heat_maps_are_beside(of_pictures, pictures):  # noqa: F811
    file = pictures[1] / "train" / "bee" / "0.png"
    answer = asked(of_pictures, file.read_bytes())
    first, *others = answer["nearest"]
    assert first["name"] == str(file) and first["label"] == "bee" and first["similarity"] == pytest.approx(1, abs=1e-5)
    assert [one["similarity"] for one in others] == sorted((one["similarity"] for one in others), reverse=True)
    assert len(others) == nearest.SHOWN - 1 and answer["near_note"] == "compared with 20 of 24 training examples"
    (best, _), *_ = answer["answer"]
    captions = ["what the network saw", *(f"{name} for {best}" for name in (heat_maps.CAM, heat_maps.GRADIENT))]
    assert [one["caption"] for one in answer["heat"]] == captions and answer["no_heat"] == ""
    assert all(one["source"].startswith("data:image/webp;base64,") for one in (*answer["heat"], *answer["nearest"]))


def test_the_answer_about_a_text_is_that_of_predict_with_its_words(of_texts, texts, capsys):  # noqa: F811
    answer = asked(of_texts, json.dumps({"texts": ["very good book"]}))
    assert answer["answer"] == predicted(capsys, texts[0], "very good book") and answer["notes"] == []
    assert "".join(piece["text"] for piece in answer["words"]) == "very good book"
    assert "good" in answer["nearest"][0]["text"] and answer["nearest"][0]["label"] == "pos"
    assert asked(of_texts, json.dumps({"texts": ["good " * 30]}))["notes"] == ["cut to 16 tokens"]


@pytest.mark.parametrize(
    ("status", "said", "changes"),
    [
        (400, "This picture cannot be used: not a whole picture: its 5 bytes", {"body": b"hello"}),
        (400, "not a whole picture", {}),
        (403, "it was called 'evil.example:80'", {"Host": "evil.example:80"}),
        (403, "it was called ''", {"Host": ""}),
        (403, "none of another page", {"Origin": "http://evil.example"}),
        (403, "none of another page", {"Origin": "null"}),
        (404, "Questions go to /ask", {"path": "/"}),
        (411, "must say its length", {"Content_Length": "-1"}),
        (413, "may have at most 32 MiB; this one has 33554433 bytes", {"Content_Length": str(2**25 + 1)}),
        (415, "about a picture, sent as application/octet-stream", {"Content_Type": server.TEXT}),
    ],
)
def test_a_question_that_is_not_answered_says_why(of_pictures, status, said, changes):
    found, answer = request(of_pictures, **{"Content_Type": server.PICTURE} | changes)
    assert found == status and said in json.loads(answer)["error"]


@pytest.mark.parametrize("body", ['{"texts": [""]}', '{"texts": ["a", "b"]}', '{"texts": ["\\ud800"]}', "[1]", "{"])
def test_a_text_that_cannot_be_asked_about_is_refused(of_texts, body):
    status, answer = request(of_texts, body=body, Content_Type=server.TEXT)
    assert status == 400 and json.loads(answer)["error"].startswith("This text cannot be used: ")


def test_the_page_is_for_this_machine_alone(of_pictures):
    status, page = request(of_pictures, "GET", "/", Host=f"localhost:{of_pictures.server_port}")
    assert status == 200 and "&lt;b&gt;mine" in page and "<b>mine" not in page
    assert request(of_pictures, "GET", "/", Host="evil.example")[0] == 403
    assert request(of_pictures, "GET", "/model/model.safetensors")[0] == 404
    assert of_pictures.server_address[0] == "127.0.0.1"


def test_a_picture_may_have_as_many_pixels_as_in_training(of_pictures, pictures):  # noqa: F811
    model = of_pictures.answering.model
    small = dataclasses.replace(model, input={**model.input, "max_pixels": 10})
    with pytest.raises(ValueError, match=r"more than config.data.max_pixels \(10\)"):
        Answering(small).of_picture((pictures[1] / "test" / "ant" / "0.png").read_bytes())


def test_what_cannot_be_shown_is_said(of_pictures, pictures, tmp_path):  # noqa: F811
    model, file = of_pictures.answering.model, pictures[1] / "test" / "ant" / "0.png"
    shutil.copytree(pictures[0], tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    kept["data"]["dir"] = str(tmp_path / "gone")
    (tmp_path / "run" / "config.json").write_text(json.dumps(kept))
    found, why = nearest.find(tmp_path / "run", model, 20)
    assert found is None and why.startswith("No nearest training examples: ") and "gone" in why
    with served(Answering(dataclasses.replace(model, classifier=lambda rows: rows[:, :3]), None, why)) as demo:
        answer = asked(demo, file.read_bytes())
    assert answer["near_note"] == why and answer["nearest"] == []
    assert answer["heat"] == [] and "No heat map: A heat map needs classes" in answer["no_heat"]


def test_ctrl_c_ends_it_and_a_port_that_is_taken_is_said(of_pictures, pictures, monkeypatch, capsys):  # noqa: F811
    taken = of_pictures.server_port
    assert main(["demo", str(pictures[0]), "--nearest=0", f"--port={taken}"]) == CONFIG
    assert f"--port must be free, or 0 for any that is; {taken} cannot be used" in capsys.readouterr().err
    monkeypatch.setattr(server.Server, "serve_forever", lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert main(["demo", str(pictures[0]), "--nearest=0"]) == 0
    said = capsys.readouterr()
    assert "the demo is at http://127.0.0.1:" in said.out and said.out.endswith("the demo has ended\n")
    assert said.err == ""


def test_a_signal_that_ends_it_is_said_and_no_checkpoint(pictures, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(server.Server, "serve_forever", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as end:
        main(["demo", str(pictures[0]), "--nearest=0"])
    assert end.value.code == 128 + signal.SIGTERM
    said = capsys.readouterr()
    assert said.out.endswith("the demo has ended, by SIGTERM\n") and "checkpoint" not in said.err


NAMELESS = """[...document.querySelectorAll('img, input, textarea, button')].filter((one) => !one.hidden &&
  !(one.alt || '').trim() && !one.labels?.length && !one.textContent.trim()).length"""


def test_in_a_browser(of_pictures, of_texts, pictures, tmp_path):  # noqa: F811
    (tmp_path / "bad.png").write_text("no picture")
    with browser.tab(tmp_path) as tab:
        tab.open(of_pictures.url)
        tab.choose("#file", pictures[1] / "test" / "bee" / "1.png")
        tab.wait("document.getElementById('result').checkVisibility()")
        assert tab.run("document.querySelectorAll('#heat img').length") == 3
        assert tab.run("document.querySelectorAll('#nearest img').length") == nearest.SHOWN
        assert tab.run("[...document.images].every((one) => one.complete && one.naturalWidth)")
        assert tab.run("document.querySelectorAll('#answer tr').length") == 3 and tab.run(NAMELESS) == 0
        tab.open(of_texts.url)
        tab.run("document.getElementById('first').value = 'very good book'; document.getElementById('ask').click()")
        tab.wait("document.getElementById('result').checkVisibility()")
        assert tab.run("document.querySelectorAll('#words mark').length") == 3 and tab.run(NAMELESS) == 0
        own = (of_pictures.url, of_texts.url, "data:", f"blob:{of_pictures.url}")
        assert tab.console == [] and all(one.startswith(own) for one in tab.requests)
        tab.open(of_pictures.url)
        tab.choose("#file", tmp_path / "bad.png")
        tab.wait("document.getElementById('error').textContent")
        assert tab.run("document.getElementById('error').textContent").startswith("This picture cannot be used: not a")
        assert not tab.run("document.getElementById('result').checkVisibility()")
