"""Folders of sentence-transformers: the pooling that they name, and what model.variant=auto makes of it."""

import json

import numpy as np
import pytest
import safetensors.numpy
from reference import draw, ours_text

from tljax.core.errors import WeightsError
from tljax.weights import pretrained, sentence_pooling

MEAN, CLASS, MOST = ("pooling_mode_mean_tokens", "pooling_mode_cls_token", "pooling_mode_max_tokens")
CONFIG = {
    "model_type": "bert", "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48,
    "vocab_size": 50, "max_position_embeddings": 24, "type_vocab_size": 2,
}  # fmt: skip


def written(folder, *asked, after=(), place="1_Pooling"):
    """The two files, as sentence-transformers writes them."""
    kinds = ("Transformer", "Pooling", *after)
    paths = ("", place, *(f"{i + 2}_{kind}" for i, kind in enumerate(after)))
    rows = [{"path": path, "type": f"some.models.{kind}"} for kind, path in zip(kinds, paths, strict=True)]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / place).mkdir()
    known = {mode: mode in asked for mode in (MEAN, CLASS, MOST)}
    (folder / place / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **known}))
    return folder


@pytest.mark.parametrize(
    ("asked", "after", "pooling"),
    [
        ([MEAN], [], "mean"),
        ([MEAN], ["Normalize"], "normalised"),
        ([CLASS], [], "class"),
        ([CLASS], ["Normalize"], "class_normalised"),
        ([MOST], [], ""),
        ([MEAN, CLASS], [], ""),
        ([MEAN], ["Dense", "Normalize"], ""),
        ([], [], ""),
    ],
)
def test_what_is_named_is_one_of_ours_or_none(tmp_path, asked, after, pooling):
    found = sentence_pooling.read(written(tmp_path, *asked, after=after))
    assert found["pooling"] == pooling
    assert found["said"] == f"1_Pooling/config.json and modules.json: {', '.join([*sorted(asked), *after])}"


def test_folders_of_others_and_half_of_one(tmp_path):
    assert sentence_pooling.read(tmp_path) == {}
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "some.models.Transformer", "path": ""}]))
    assert sentence_pooling.read(tmp_path) == {}
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "some.models.Pooling", "path": "1_Pooling"}]))
    found = sentence_pooling.read(tmp_path)
    assert found["pooling"] == ""
    assert found["said"] == "modules.json names 1_Pooling/config.json, which does not exist"
    for damaged in ("{", "{}", "[1]"):
        (tmp_path / "modules.json").write_text(damaged)
        with pytest.raises(WeightsError, match="modules.json' must hold a JSON list"):
            sentence_pooling.read(tmp_path)


def fetched(folder, variant="auto"):
    net = ours_text.network(ours_text.narrow("bert"))
    arrays = {
        name: x for name, x in draw.weights(ours_text.published_shapes("bert", net)).items() if "class" not in name
    }
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    from configs import default

    config = default.get_config().model
    config.update(family="bert", variant=variant, weights=str(folder))
    return pretrained.fetch(config, wanted=True)


def test_auto_pools_as_the_folder_says_and_tells(tmp_path):
    found = fetched(written(tmp_path, MEAN, after=["Normalize"]))
    assert found.variant == ours_text.narrow("bert", pooling="normalised")
    assert "pooling: normalised, by 1_Pooling/config.json and modules.json: pooling_mode_mean_tokens, Normalize" in (
        found.notes
    )


def test_what_is_not_built_is_told_and_the_familys_default_taken(tmp_path):
    found = fetched(written(tmp_path, MOST))
    assert found.variant.pooling == "pooler"  # the file holds one
    assert found.notes[-1].startswith("pooling: pooler; tljax has no pooling as in the weights' folder: 1_Pooling")


def test_a_variant_that_is_named_stays_and_without_the_files_all_is_as_before(tmp_path):
    assert fetched(tmp_path).variant == ours_text.narrow("bert") and len(fetched(tmp_path).notes) == 1
    written(tmp_path, MEAN)
    shape = ours_text.narrow("bert", pooling="class")
    bert = ours_text.FAMILIES["bert"]
    bert.VARIANTS["named"] = shape
    try:
        found = fetched(tmp_path, "named")
        assert found.variant == "named" and found.notes == ()
    finally:
        del bert.VARIANTS["named"]
    assert np.isfinite(next(iter(found.published.arrays.values()))).all()


def prompted(folder, **said):
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said))
    return folder


def test_prompts_and_the_default_one(tmp_path):
    written(tmp_path, MEAN)
    assert {key: sentence_pooling.read(tmp_path)[key] for key in ("prefix", "prompts")} == {"prefix": "", "prompts": ""}
    both = {"query": "query: ", "passage": "passage: ", "plain": ""}
    found = sentence_pooling.read(prompted(tmp_path, prompts=both, default_prompt_name=None))
    assert (found["prefix"], found["prompts"]) == ("", "query 'query: ', passage 'passage: '")
    assert sentence_pooling.read(prompted(tmp_path, prompts=both, default_prompt_name="query"))["prefix"] == "query: "
    assert sentence_pooling.read(tmp_path, prompts=False)["prefix"] == ""


def test_prompts_whose_tokens_are_not_pooled_are_not_built(tmp_path):
    written(tmp_path, MEAN, after=["Normalize"])
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | {"include_prompt": False}))
    assert sentence_pooling.read(tmp_path)["pooling"] == "normalised"  # there is no prompt
    found = sentence_pooling.read(prompted(tmp_path, prompts={"query": "query: "}))
    assert found["pooling"] == "" and "without the prompt's tokens" in found["said"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"prompts": ["query: "]}, "must hold a text for each name"),
        ({"prompts": {"query": 1}}, "must hold a text for each name"),
        (
            {"prompts": {"query": "q"}, "default_prompt_name": "passage"},
            r"one of its prompts \(query\) .* got 'passage'",
        ),
        ({"default_prompt_name": "query"}, "it has none"),
    ],
)
def test_damaged_prompts_are_named(tmp_path, said, message):
    with pytest.raises(WeightsError, match=message):
        sentence_pooling.read(prompted(written(tmp_path, MEAN), **said))
