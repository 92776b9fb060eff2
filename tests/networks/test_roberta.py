"""RoBERTa: where its positions begin, and what its published files hold. Its numbers: test_bert.py."""

import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours_text

from tljax.core.errors import ConfigError, WeightsError
from tljax.networks import encoder
from tljax.networks.encoder import POOLINGS
from tljax.networks.families import roberta

SHAPE = roberta.VARIANTS["base"]
SIZES = ("base", "large", "xlm_base", "xlm_large")


def test_positions_count_tokens_from_the_one_after_the_paddings_id():
    embed, mask = encoder.Embed(SHAPE, jnp.float32), np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
    assert embed.places(jnp.asarray(mask)).tolist() == [[2, 3, 4, 5], [2, 3, 1, 1]]
    assert (SHAPE.positions, SHAPE.longest) == (514, 512)


def test_the_published_file_without_a_pooler_fits_the_plain_variant():
    # FacebookAI/roberta-base: an encoder below the masked-language head, whose decoder is the word embedding.
    shape = ours_text.narrow("roberta", pooling="class")
    net = ours_text.network(shape)
    published = draw.weights(ours_text.published_shapes("roberta", net))
    head = ("bias", "dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias")
    published |= {f"lm_head.{name}": np.zeros(32, np.float32) for name in head}
    assert "pool" not in ours_text.placed("roberta", net, published)["params"]["backbone"]
    with pytest.raises(WeightsError, match=r"2 missing: roberta\.pooler\.dense\.weight"):
        ours_text.placed("roberta", ours_text.network(ours_text.narrow("roberta")), published)


def test_variants_are_the_published_ones_and_their_poolings():
    poolings = ("", *(f"_{pooling}" for pooling in POOLINGS))
    assert set(roberta.VARIANTS) == {f"{size}{pooling}" for size in SIZES for pooling in poolings}
    assert {shape.epsilon for shape in roberta.VARIANTS.values()} == {1e-5}
    assert roberta.VARIANTS["base_class"] == SHAPE


def test_xlm_roberta_is_one_of_other_words():
    config = roberta.describe("xlm_base", ()) | {"model_type": "xlm-roberta"}
    assert roberta.infer({}, config) == roberta.VARIANTS["xlm_base_class"]
    with pytest.raises(ConfigError, match="model_type 'camembert', not 'roberta'"):
        roberta.infer({}, config | {"model_type": "camembert"})
