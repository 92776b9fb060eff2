"""Faults of texts, tables and tokenizers: cases 50, 55, 56, and 3, 4 of issue 13."""

import json

from tests.faults.making import DATA, ROWS, WEIGHTS, Fault, Scene, result, with_table


def table(*rows: str, header: str = "text,label") -> str:
    return "\n".join([header, *rows]) + "\n"


def cut(scene: Scene) -> None:
    assert result(scene)["cut"]["train"] == 1


def damaged_tokenizer(scene: Scene) -> list[str]:
    command = list(with_table(ROWS)(scene))
    (scene.root / "bert/tokenizer.json").write_text("{")
    return command


def no_tokenizer(scene: Scene) -> list[str]:
    command = list(with_table(ROWS)(scene))
    return [word for word in command if "tokenizer" not in word]


LONG = "good " * 30_000

CASES = {
    "50 a label that is empty": Fault(with_table(ROWS + "good,\n"), DATA, ["train.csv:8", "label"]),
    "50 a label that is NaN": Fault(with_table(ROWS + "good,NaN\n"), DATA, ["train.csv:8", "'NaN'"]),
    "50 a number among words": Fault(
        with_table(table("good,pos", "bad,neg", "good,1", "bad,1.0", "good,1")), DATA, ["1.0", "similar_labels"]
    ),
    "55 an empty table": Fault(with_table(""), DATA, ["train.csv", "empty"]),
    "55 a header alone": Fault(with_table("text,label\n"), DATA, ["train"]),
    "55 an empty text": Fault(with_table(ROWS + ",pos\n"), DATA, ["train.csv:8", "data.unreadable=skip"]),
    "55 a text that is too long": Fault(with_table(ROWS + f"{LONG[:100]},pos\n"), 0, ["1 texts cut to 8"], cut),
    "55 a field of 150,000 characters": Fault(with_table(ROWS + f"{LONG},pos\n"), 0, ["1 texts cut to 8", "result:"]),
    "55 latin-1": Fault(
        with_table(ROWS.encode() + "caf\xe9 good,pos\n".encode("latin-1")), DATA, ["train.csv", "config.data.encoding"]
    ),
    "55 a byte order mark and CRLF": Fault(
        with_table(b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode()), 0, ["6 train", "result:"]
    ),
    "55 NUL": Fault(with_table(ROWS + "good \0 bad,pos\n"), DATA, ["train.csv", "NUL"]),
    "55 quoted line ends": Fault(with_table(ROWS + '"good\nvery good",pos\n'), 0, ["7 train", "result:"]),
    "55 two columns of one name": Fault(
        with_table(ROWS.replace("text,label", "text,label,label")), DATA, ["twice: label"]
    ),
    "55 a column that is not there": Fault(
        with_table(ROWS.replace("text,label", "text,labels")), DATA, ["'label'", "'labels'"]
    ),
    "55 a quote that does not end": Fault(with_table('text,label\n"good,pos\nbad,neg\nbad,neg\n'), DATA, ["quote"]),
    "4 semicolons": Fault(with_table(ROWS.replace(",", ";")), 0, ["';'", "6 train"]),
    "4 UTF-16 of Excel": Fault(
        with_table(ROWS.replace(",", "\t").encode("utf-16")),
        DATA,
        ["is utf-16, as Excel saves it", "config.data.encoding=utf-16"],
    ),
    "4 a list for a text": Fault(
        with_table(
            "".join(json.dumps(row) + "\n" for row in ({"text": "good", "label": "a"}, {"text": ["x"], "label": "b"})),
            "--config.data.splits.train=more",
            name="more.jsonl",
        ),
        DATA,
        ["more.jsonl:2", "list"],
    ),
    "56 an id beyond the vocabulary": Fault(
        with_table(ROWS, vocabulary=5), WEIGHTS, ["makes the id 6, and the encoder knows 5"]
    ),
    "56 no tokenizer": Fault(no_tokenizer, 2, ["config.model.tokenizer"]),
    "56 a damaged tokenizer": Fault(damaged_tokenizer, WEIGHTS, ["tokenizer"]),
    "56 no word that is known": Fault(
        with_table(ROWS.replace("very", "sehr").replace("good", "gut").replace("bad", "schlecht")),
        0,
        ["warning:", "are words that the tokenizer does not know"],
    ),
}
