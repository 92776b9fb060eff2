"""Texts from folders, tables and review files: nothing lost, nothing repaired in silence, faults named in full."""

import json
import re

import pytest

from configs import default
from tljax.core.errors import DataError
from tljax.data import texts
from tljax.data.sources import reviews, text_csv, text_folder
from tljax.data.texts import Row


def config(folder, **changes):
    data = default.get_config().data
    data.update(dir=str(folder), **changes)
    return data


def write(folder, **files):
    """Files by name, "__" for "/"; text or bytes."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def examples(dataset):
    """split -> (text, pair, class) of every example."""
    return {
        name: [(e["text"], e["pair"], dataset.info.classes[e["label"]]) for e in (split[i] for i in range(len(split)))]
        for name, split in dataset.splits.items()
    }


CSV = 'text,label,other\r\n"Good, and ""quoted""\r\non two lines",pos,1\r\nbad,neg,2\r\n'
TSV = "label\ttext\tother\npos\tgut\t\nneg\tschlecht, sehr\t\n"
JSONL = '{"text": "line\\u2028separator", "label": 10}\n\n{"label": 9, "text": "nine"}\n'


def test_tables(tmp_path):
    dataset = text_csv.load(config(write(tmp_path, **{"train.csv": CSV, "test.TSV": TSV})))
    assert dataset.info.classes == ("neg", "pos") and dataset.info.skipped == ()
    assert examples(dataset) == {
        "test": [("gut", "", "pos"), ("schlecht, sehr", "", "neg")],
        "train": [('Good, and "quoted"\r\non two lines', "", "pos"), ("bad", "", "neg")],
    }
    assert dataset.splits["train"].labels.tolist() == [1, 0]
    assert dataset.splits["train"][1]["id"] == f"{tmp_path / 'train.csv'}:4" == dataset.splits["train"].files[1]


def test_one_table_pairs_and_labels_that_are_numbers(tmp_path):
    file = write(tmp_path, **{"x.jsonl": JSONL}) / "x.jsonl"
    dataset = text_csv.load(config(file, fractions=(0.5, 0.0, 0.5)))
    assert dataset.info.classes == ("9", "10")  # in the order of numbers
    assert examples(dataset) == {"all": [("line\u2028separator", "", "10"), ("nine", "", "9")]}
    pairs = write(tmp_path / "p", **{"train.csv": "a,b,y\nhe,she,1\n", "test.csv": "a,b,y\nit,,1\nwe,I,1\n"})
    columns = {"text": "a", "pair": "b", "label": "y"}
    with pytest.raises(DataError, match=r"Every text of a pair in .* 1 do not: .*test.csv:2"):
        text_csv.load(config(pairs, columns=columns))
    assert examples(text_csv.load(config(pairs, columns=columns, unreadable="skip"))) == {
        "train": [("he", "she", "1")],
        "test": [("we", "I", "1")],
    }


GLUE = 'text\tlabel\n" I will not buy .\t0\nfine product\t1\nnot as they said "\t1\nbad\t0\n'


READ = {
    "semicolons": ({"train.csv": "text;label\na, b;1\n"}, {}, ("a, b", "1"), "separated by ';'"),
    "tabs": ({"train.csv": "text\tlabel\na\t1\n"}, {}, ("a", "1"), r"separated by '\\t'"),
    "Excel's line": ({"train.csv": "sep=;\r\ntext;label\r\na;1\r\n"}, {}, ("a", "1"), "separated by ';'"),
    "as told": ({"train.csv": "text^label\na;b^1\n"}, {"delimiter": "^"}, ("a;b", "1"), r"separated by '\^'"),
    "tab as told": ({"train.csv": "text\tlabel\na\t1\n"}, {"delimiter": "tab"}, ("a", "1"), "separated by"),
    "no header": ({"train.csv": "a,1\n"}, {"header": ("text", "label")}, ("a", "1"), None),
    "no header, other order": ({"train.csv": "x;1;a\n"}, {"header": ("id", "label", "text")}, ("a", "1"), "by ';'"),
    "case": ({"train.csv": "Text,LABEL\na,1\n"}, {}, ("a", "1"), "column 'Text' is read as 'text'"),
    "case in json": ({"train.jsonl": '{"Text": "a", "label": 1}'}, {}, ("a", "1"), "'Text' is read as 'text'"),
    "spaces": ({"train.csv": "text, label\na, 1\n"}, {}, ("a", "1"), "spaces around names of columns"),
    "carriage returns": ({"train.csv": "text,label\ra,1\r"}, {}, ("a", "1"), None),
    "carriage returns in json": (
        {"train.jsonl": '{"text": "a", "label": 1}\r{"text": "a", "label": 1}\r'},
        {},
        ("a", "1"),
        None,
    ),
    "GLUE": ({"train.tsv": 'text\tlabel\n" a\t1\n'}, {}, ('" a', "1"), "quotes are read as part of the texts"),
    "quotes in a tsv": ({"train.tsv": 'text\tlabel\n"a" b\t1\n'}, {}, ('"a" b', "1"), "part of the texts"),
    "quoted lines": ({"train.csv": 'text,label\n"a\nb, c",1\nd,1\n'}, {}, ("a\nb, c", "1"), None),
    "quoted lines that end alike": ({"train.csv": 'text,label\n"a, b\nc",1\nd,1\n'}, {}, ("a, b\nc", "1"), None),
    "missing is a name": ({"train.csv": "text,label\na,None\n"}, {"missing": ()}, ("a", "None"), None),
    "truth": ({"train.jsonl": '{"text": "a", "label": true}'}, {}, ("a", "true"), None),
    "number and word": ({"train.jsonl": '{"text":"a","label":1}\n{"text":"b","label":"1"}'}, {}, ("a", "1"), None),
}


@pytest.mark.parametrize("name", READ)
def test_tables_as_people_have_them(tmp_path, name):
    files, changes, (text, label), note = READ[name]
    dataset = text_csv.load(config(write(tmp_path, **files), **changes))
    assert examples(dataset)["train"][0] == (text, "", label)
    assert re.search(note, dataset.info.notes[0]) if note else not dataset.info.notes


def test_tables_that_nobody_named_are_not_read(tmp_path):
    folder = write(
        tmp_path, **{"train.csv": CSV, "test.csv": CSV, "classes.csv": "id,name\n1,pos\n", "._train.csv": "\0"}
    )
    dataset = text_csv.load(config(folder))
    assert list(dataset.splits) == ["test", "train"] and dataset.info.unread == ("classes",)


def test_spellings_of_a_class_are_merged_where_asked_for(tmp_path):
    folder = write(
        tmp_path, **{"train.csv": "text,label\na,Pos\nb,pos\nc,neg\nd,Pos\n", "test.csv": "text,label\ne,POS\n"}
    )
    dataset = text_csv.load(config(folder, similar_labels="merge"))
    assert dataset.info.classes == ("Pos", "neg") and dataset.splits["train"].labels.tolist() == [0, 0, 1, 0]
    assert (
        dataset.splits["test"].labels.tolist() == [0] and "'Pos' and 'POS' and 'pos' (2, 1, 1" in dataset.info.notes[0]
    )
    kept = text_csv.load(config(folder, similar_labels="keep", fractions=(0.5, 0, 0.5)))
    assert kept.info.classes == ("POS", "Pos", "neg", "pos") and not kept.info.notes


def test_a_column_says_what_stays_together(tmp_path):
    folder = write(tmp_path, **{"train.csv": "text,label,site\na,1,north\nb,2,7\n"})
    assert text_csv.load(config(folder, group="site")).splits["train"].groups == ["north", "7"]
    for table, why in (("text,label\na,1\n", "must have the column 'site'"), ("text,label,site\na,1,\n", "to whom")):
        with pytest.raises(DataError, match=why):
            text_csv.load(config(write(tmp_path, **{"train.csv": table}), group="site"))


def test_numbers_with_commas(tmp_path):
    folder = write(tmp_path, **{"train.csv": 'text,label\na,"-1.234,5"\nb,"0,5"\nc,2\n'})
    dataset = text_csv.load(config(folder, labels="numbers", decimal=","))
    assert dataset.splits["train"].labels.tolist() == [[-1234.5], [0.5], [2.0]]
    folder = write(tmp_path, **{"train.csv": 'text,label\na,"1,234.5"\nb,"1,000"\nc,.5\n'})
    assert text_csv.load(config(folder, labels="numbers", decimal=".")).splits["train"].labels.tolist()[:2] == [
        [1234.5],
        [1000],
    ]


def test_quotes_may_be_part_of_the_texts(tmp_path):
    folder = write(tmp_path, **{"train.tsv": GLUE})
    assert examples(text_csv.load(config(folder, quotes=False)))["train"] == [
        ('" I will not buy .', "", "0"),
        ("fine product", "", "1"),
        ('not as they said "', "", "1"),
        ("bad", "", "0"),
    ]


def test_byte_order_mark_and_other_encodings(tmp_path):
    marked = write(tmp_path, **{"train.csv": b"\xef\xbb\xbftext,label\nfa\xc3\xa7ade,1\n"})
    assert examples(text_csv.load(config(marked))) == {"train": [("façade", "", "1")]}
    wide = write(tmp_path / "w", **{"train.csv": "text,label\nfaçade,1\n".encode("utf-16")})
    assert examples(text_csv.load(config(wide, encoding="utf-16"))) == {"train": [("façade", "", "1")]}


def test_utf8_that_is_said_to_be_latin_1_is_not_read_so(tmp_path):
    """Any bytes are latin-1: "façade" would be read as "faÃ§ade"."""
    folder = write(tmp_path, **{"train.csv": "text,label\nfaçade,1\n"})
    for name in ("latin-1", "cp1252"):
        with pytest.raises(DataError, match=rf"must be {name}; .* is utf-8, .* Set config.data.encoding=utf-8"):
            text_csv.load(config(folder, encoding=name))
    (folder / "train.csv").write_bytes("text,label\nfaçade,1\n".encode("latin-1"))
    assert examples(text_csv.load(config(folder, encoding="latin-1"))) == {"train": [("façade", "", "1")]}


def test_a_header_that_is_given_and_there_is_no_row(tmp_path):
    """As in a second table, for a run that learned from one without a header."""
    folder = write(tmp_path, **{"train.csv": "Text,label\na,1\nb,0\n", "test.csv": "c,1\n"})
    found = text_csv.load(config(folder, header=("text", "label")))
    assert examples(found) == {"train": [("a", "", "1"), ("b", "", "0")], "test": [("c", "", "1")]}
    assert found.info.notes == ("train.csv: its first line is the header that config.data.header gives, and no row",)


def test_a_long_text(tmp_path):
    long = "word " * 100_000
    assert examples(text_csv.load(config(write(tmp_path, **{"train.csv": f"text,label\n{long},1\n"}))))["train"] == [
        (long, "", "1")
    ]


OPEN = 'text,label\na,1\n"b,1\nc,1\nd",0\ne,0\n'  # the rows of lines 3 to 5 are one, of the label 0
FAULTS = {
    "no table": ({"readme.md": "x"}, {}, r"no \.csv, \.tsv, \.jsonl, \.parquet in"),
    "empty": ({"train.csv": ""}, {}, "must begin with a line of column names"),
    "rows in quotes": ({"train.csv": OPEN}, {}, r"the lines 3 to 5 are one row, .* quote in line 3 has no partner"),
    "rows in quotes, label first": (
        {"train.csv": 'label,text\n0,a\n1,"b\n1,c\n0,d"\n1,e\n'},
        {},
        "the lines 3 to 5 are one row",
    ),
    "rows in quotes, numbers": (
        {"train.csv": 'text,label\na,0.1\n"b,0.2\nc",0.3\n'},
        {"labels": "numbers"},
        "the lines 3 to 4 are one row",
    ),
    "all rows in quotes": ({"train.csv": 'text,label\n"a,0\nb,1\nc",0\n'}, {}, "the lines 2 to 4 are one row"),
    "quotes in a text": (
        {"train.csv": 'text,label\n" The board " met,0\n'},
        {},
        r"quoted fields closed; at line 2: .*set config\.data\.quotes=false",
    ),
    "column": (
        {"train.csv": "txet,label\na,b\n"},
        {},
        r"train.csv' must have the column 'text' .* it has txet, label\. Did you mean 'txet'.* config.data.header",
    ),
    "no header": ({"train.csv": "a,1\nb,2\n"}, {}, "it has a, 1. Where its first line is a row .* config.data.header"),
    "null": ({"train.jsonl": '{"text": null, "label": "a"}'}, {}, "more than spaces .* 1 do not: .*train.jsonl:1"),
    "null label": ({"train.jsonl": '{"text": "a", "label": null}'}, {}, r"l:1: 'label' must hold a label; it is null"),
    "nan text": ({"train.csv": "text,label\na,1\nnan,0\n"}, {}, "a word of config.data.missing; 1 do not: .*csv:3"),
    "nan in json": ({"train.jsonl": '{"text": NaN, "label": "a"}'}, {}, "more than spaces .* 1 do not: .*jsonl:1"),
    "nan label": (
        {"train.csv": "text,label\na,1\nb,NaN\n"},
        {},
        "csv:3: 'label' must hold .* 'NaN', which config.data",
    ),
    "infinite label": ({"train.jsonl": '{"text": "a", "label": 1e999}'}, {}, r"l:1: .* it is Infinity \(no number\)"),
    "list for a text": (
        {"train.jsonl": '{"text": "a", "label": 1}\n{"text": ["a", "b"], "label": 1}'},
        {},
        r"1 of .* do not:\n  .*train.jsonl:2: 'text' must be a text; it is \[\"a\", \"b\"\] \(a list\)",
    ),
    "object for a text": ({"train.jsonl": '{"text": {"a": 1}, "label": 1}'}, {}, r"it is {\"a\": 1} \(an object\)"),
    "truth for a text": ({"train.jsonl": '{"text": true, "label": 1}'}, {}, r"it is true \(true or false\)"),
    "number for a text": ({"train.jsonl": '{"text": 5, "label": 1}'}, {}, r"'text' must be a text; it is 5 \(a number"),
    "list for a class": ({"train.jsonl": '{"text": "a", "label": ["b"]}'}, {}, r"'label' must hold .* \(a list\)"),
    "truth beside words": (
        {"train.jsonl": '{"text": "a", "label": true}\n{"text": "b", "label": "true"}'},
        {},
        r"true or false, or none; in .* that of line 1 is, and that of line 2 is \"true\"",
    ),
    "list in a set": (
        {"train.jsonl": '{"text": "a", "label": ["b", ["c"]]}'},
        {"labels": "sets"},
        r"'label' must be a list of names; in .* stands \[\"c\"\]",
    ),
    "Python's list": ({"train.csv": "text,label\na,\"['x']\"\n"}, {"labels": "sets"}, "must be a list of JSON"),
    "other separator": (
        {"train.csv": 'text,label\na,"x, y"\nb,x\n'},
        {"labels": "sets"},
        r"'\|' stands in no cell, and ',' in 1 of 2 .* Set config.data.separator=','",
    ),
    "an array": ({"train.jsonl": '[{"text": "a", "label": 1}]'}, {}, "It is one array of all: write each of its"),
    "utf-16": (
        {"train.csv": "text,label\na,1\n".encode("utf-16")},
        {},
        r"is utf-16, .* Set config.data.encoding=utf-16",
    ),
    "delimiter": (
        {"train.csv": "text;label\na;1\n"},
        {"delimiter": "|"},
        r"it has text;label\. .* config.data.delimiter",
    ),
    "comma": (
        {"train.csv": 'text,label\na,"0,5"\nb,"1,5"\n'},
        {"labels": "numbers"},
        r"csv:2: 'label' must be a finite number; it is '0,5'.*Set config.data.decimal: ',' where",
    ),
    "point for comma": ({"train.csv": "text,label\na,0.5\n"}, {"labels": "numbers", "decimal": ","}, "it is '0.5'"),
    "numbers for classes": (
        {"train.csv": "text,label\n" + "".join(f'a,"{i},5"\n' for i in range(9))},
        {},
        r"are numbers, 9 different ones in 9 rows .* config.data.labels=numbers and config.data.decimal",
    ),
    "case": ({"train.csv": "text,label\na,Pos\nb,pos\nc,pos\n"}, {}, r"these do not: 'pos' and 'Pos' \(2, 1 exam"),
    "int and float": ({"train.jsonl": '{"text":"a","label":1}\n{"text":"b","label":1.0}'}, {}, "not: '1' and '1.0' "),
    "zeros": ({"train.csv": "text,label\na,1\nb,01\nc,+1\n"}, {}, r"not: '1' and '\+1' and '01' \(1, 1, 1 examples"),
    "unseen": ({"train.csv": "text,label\na,b\nc,b\u200b\nd,\u00a0b\n"}, {}, r"'b' and 'b\\u200b' and '\\xa0b'"),
    "case in sets": ({"train.csv": "text,label\na,x|y\nb,X\n"}, {"labels": "sets"}, "these do not: 'X' and 'x'"),
    "suffix": ({"train.txt": "text,label\na,1\n"}, {"file": "train.txt"}, "must end in .csv, .*train.txt"),
    "no suffix": ({"train": "text,label\na,1\n"}, {"file": "train"}, "must end in .csv, .tsv, .jsonl, .*train'"),
    "header": ({"train.csv": "text,label,text\na,1,b\n"}, {}, "different names; twice: text. Rename"),
    "key twice": ({"train.jsonl": '{"text": "a", "label": 1, "label": 2}'}, {}, "line 1 .* names stand twice: label"),
    "too deep": ({"train.jsonl": "[" * 100_000}, {}, "line 1 is not: "),
    "set too deep": ({"train.jsonl": json.dumps({"text": "a", "label": "[" * 99_999})}, {"labels": "sets"}, "too deep"),
    "half a label": ({"train.jsonl": '{"text": "a", "label": "\\ud83d"}'}, {}, "jsonl:1: of its label, it is not UTF"),
    "no class": ({"train.csv": "text,label\na,1\nb, \n"}, {}, "train.csv:3: 'label' must name a class; it is empty"),
    "blanks": ({"train.csv": "text,label\na,pos\nb, pos\n"}, {}, "these do not: 'pos' and ' pos'"),
    "empty sets": ({"train.csv": 'text,label\na,""\nb,""\n'}, {"labels": "sets"}, "must have a label; all are empty"),
    "no pairs": (
        {"train.csv": "text,p2,label\na,,1\nb,,2\n"},
        {"columns": {"text": "text", "pair": "p2", "label": "label"}},
        "Every text of a pair .* 2 do not: ",
    ),
    "fields": ({"train.csv": 'text,label\n"a\nb",1\nc,d,e\n'}, {}, "the one at line 4 has 3"),
    "quote": ({"train.csv": 'text,label\na,1\n"open,1\n'}, {}, "at line 3: unexpected end of data"),
    "json": ({"train.jsonl": '{"text": "a", "label": 1}\n{oops\n'}, {}, "line 2 is not: "),
    "list": ({"train.jsonl": "[1]"}, {}, r"must be a JSON object; line 1 is '\[1\]'"),
    "utf-8": ({"train.csv": b"text,label\nok,1\nfa\xe7ade,1\n"}, {}, "must be utf-8; .*byte 0xe7 in line 3"),
    "nul": ({"train.csv": b"text,label\na\0b,1\n"}, {}, "must not hold NUL characters; .* in line 2"),
    "nul in json": (
        {"train.jsonl": '{"text": "a\\u0000b", "label": 1}'},
        {},
        "train.jsonl:1: it holds a NUL character",
    ),
    "half a character": ({"train.jsonl": '{"text": "\\ud83d", "label": 1}'}, {}, "train.jsonl:1: it is not UTF-8"),
    "encoding": ({"train.csv": "text,label\na,1\n"}, {"encoding": "utf-9"}, "an encoding of Python, .* got 'utf-9'"),
    "no text": ({"train.csv": "text,label\n"}, {}, "must hold texts; it holds none"),
    "empty text": ({"train.csv": "text,label\na,1\n  ,1\n"}, {}, "more than spaces .* 1 do not: .*train.csv:3"),
    "twice": ({"train.csv": "text,label\na,1\n", "train.tsv": "text\tlabel\na\t1\n"}, {}, "several called 'train'"),
    "class": (
        {"train.csv": "text,label\na,1\n", "test.csv": "text,label\nb,2\n"},
        {},
        "Every class must be in the training split 'train' .*only in other splits: test: 2",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(tmp_path, fault):
    files, changes, text = FAULTS[fault]
    folder, changes = write(tmp_path, **files), dict(changes)
    with pytest.raises(DataError, match=re.compile(text, re.DOTALL)):
        text_csv.load(config(folder / changes.pop("file", ""), **changes))


def test_columns_without_a_name_may_repeat(tmp_path):
    folder = write(tmp_path, **{"train.csv": "text,label,,\na,1,,\nb,2,x,\n"})
    assert examples(text_csv.load(config(folder))) == {"train": [("a", "", "1"), ("b", "", "2")]}


def test_empty_texts_may_be_skipped(tmp_path):
    folder = write(tmp_path, **{"train.csv": "text,label\na,1\n  ,1\n"})
    dataset = text_csv.load(config(folder, unreadable="skip"))
    assert dataset.info.skipped == (f"{folder / 'train.csv'}:3: an empty text",)
    assert examples(dataset) == {"train": [("a", "", "1")]}


def test_repeats_are_kept_or_removed_over_all_splits(tmp_path):
    table = "text,label\nThe  same.,1\nthe same.,1\nother,2\ntorn,1\nmore,2\n"
    folder = write(tmp_path, **{"train.csv": table, "zest.csv": "text,label\ntorn,2\nOTHER,2\n"})
    names = {"train": "train", "test": "zest"}
    assert len(text_csv.load(config(folder, splits=names)).splits["train"]) == 5
    dataset = text_csv.load(config(folder, duplicates="remove", splits=names))
    assert {name: [text for text, *_ in rows] for name, rows in examples(dataset).items()} == {
        "zest": ["OTHER"],  # what is not trained on keeps its own
        "train": ["The  same.", "more"],
    }
    test, train = folder / "zest.csv", folder / "train.csv"
    assert set(dataset.info.skipped) == {
        f"{train}:3: repeats {train}:2",
        f"{train}:4: repeats {test}:3",
        f"{train}:5: the same text is labelled 1 and 2",
        f"{test}:2: the same text is labelled 1 and 2",
    }


def test_pairs_repeat_as_pairs():
    rows = [Row("a", "b", "1", "r1"), Row("a", "c", "1", "r2"), Row("A", "b ", "1", "r3")]
    assert [[row.id for row in same] for same in texts.repeated(rows).values()] == [["r1", "r3"]]


def test_folders(tmp_path):
    folder = write(tmp_path, train__pos__1_txt="", test__pos__2_txt="")
    for path in folder.rglob("*_txt"):
        path.rename(path.with_name(path.name.replace("_", ".")))
    write(folder, **{"train__pos__1.txt": "good\r\nlines\r\n", "test__pos__2.txt": "fine", "train__.hidden": "x"})
    dataset = text_folder.load(config(folder))
    assert examples(dataset) == {"test": [("fine", "", "pos")], "train": [("good\r\nlines\r\n", "", "pos")]}
    assert dataset.splits["test"][0]["id"] == str(folder / "test" / "pos" / "2.txt")
    write(
        folder,
        **{"train__lost": "x", "train__pos__x.feat": "x", "__MACOSX__train__1.txt": "x", "unsup__pos__3.txt": "x"},
    )
    dataset = text_folder.load(config(folder))
    assert examples(dataset)["train"] == [("good\r\nlines\r\n", "", "pos")] and dataset.info.unread == ("unsup",)
    assert sorted(row.removeprefix(f"{folder}/") for row in dataset.info.skipped) == [
        "train/lost: not in a class folder",
        "train/pos/x.feat: its suffix is not that of texts",
    ]
    with pytest.raises(DataError, match="no folder ''"):
        text_folder.load(default.get_config().data)


def test_reviews_one_a_line(tmp_path):
    folder = write(tmp_path, books__review_positive="good \x1a book\nfine\x85one\n", books__review_negative="bad\n")
    write(folder, video__review_positive="ok\n", video__review_negative="no", LICENSE="x")
    dataset = reviews.load(config(folder, splits={"train": "books", "validation": "", "test": "video"}))
    assert dataset.info.classes == ("negative", "positive")
    assert [text for text, *_ in examples(dataset)["books"]] == ["bad", "good \x1a book", "fine\x85one"]
    assert dataset.splits["books"].labels.tolist() == [0, 1, 1] and len(dataset.splits["video"]) == 2
    (folder / "video" / "review_negative").unlink()
    with pytest.raises(DataError, match="'.*review_negative' is not: No such file"):
        reviews.load(config(folder))


def test_the_real_reviews(shared):
    dataset = reviews.load(config(shared / "data" / "reviews", duplicates="remove", fractions=(0.8, 0.0, 0.2)))
    assert set(dataset.splits) == {"books", "dvd", "electronics", "kitchen", "video"}
    kept = {name: len(split) for name, split in dataset.splits.items()}
    assert sum(kept.values()) + len(dataset.info.skipped) == 30_000
    whole = reviews.load(config(shared / "data" / "reviews", fractions=(0.8, 0.0, 0.2)))
    assert {name: len(split) for name, split in whole.splits.items()} == dict.fromkeys(kept, 6000)
    rows = [row for split in dataset.splits.values() for row in split.rows]
    assert texts.repeated(rows) == {} and json.dumps(kept)


def test_tables_of_numbers_and_of_sets(tmp_path):
    table = "text,score,tone,old,new\na,1.5,dry|warm,0,1\nb,-2,,1,1\n"
    folder = write(tmp_path, **{"train.csv": table, "test.csv": table})
    columns = {"text": "text", "pair": "", "label": "score,old"}
    numbers = text_csv.load(config(folder, columns=columns, labels="numbers"))
    assert (numbers.info.labels, numbers.info.classes) == ("numbers", ("score", "old"))
    assert numbers.splits["train"].labels.tolist() == [[1.5, 0], [-2, 1]]
    sets = text_csv.load(config(folder, columns=columns | {"label": "new,old"}, labels="sets"))
    assert (sets.info.labels, sets.info.classes) == ("sets", ("new", "old"))
    assert sets.splits["test"].labels.tolist() == [[True, False], [True, True]]
    named = text_csv.load(config(folder, columns=columns | {"label": "tone"}, labels="sets"))
    assert named.info.classes == ("dry", "warm") and named.splits["test"].labels.tolist() == [[True] * 2, [False] * 2]


def test_repeats_with_other_numbers_or_sets_contradict(tmp_path):
    table = "text,score\na,1\na,1.0\nb,2\nb,3\nc,4\n"
    folder = write(tmp_path, **{"train.csv": table})
    columns = {"text": "text", "pair": "", "label": "score"}
    dataset = text_csv.load(config(folder, columns=columns, labels="numbers", duplicates="remove"))
    assert dataset.splits["train"].labels.tolist() == [[1.0], [4.0]]
    assert f"{folder / 'train.csv'}:4: the same text is labelled 2 and 3" in dataset.info.skipped
