"""ViT against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import dataclasses
import itertools
import math
import re
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours, ours_vit, torch_vit_cases

