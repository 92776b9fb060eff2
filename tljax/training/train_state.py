"""The state of a run at a step: all that a checkpoint holds and a training step changes."""

from typing import cast

import flax.struct
import jax
import numpy as np

from tljax.core.types import Params, Tree, Variables


class TrainState(flax.struct.PyTreeNode):
    """A pytree. Together with the seeded batches it determines the rest of the run."""

    step: jax.Array  # () int32, updates so far
    rng: jax.Array  # raw key data of the run's seed; it never changes, and is folded with the step
    params: Params
    model_state: Variables  # {"batch_stats": ...} or {}
    opt_state: Tree

    @classmethod
    def create(cls, variables: Variables, *, seed: int) -> "TrainState":
        """The state before the first step; the first phase fills the optimizer state."""
        rest = {collection: tree for collection, tree in variables.items() if collection != "params"}
        rng = np.asarray(jax.random.key_data(jax.random.key(seed)))
        return cls(cast(jax.Array, np.int32(0)), cast(jax.Array, rng), variables["params"], rest, ())

    def variables(self) -> Variables:
        return {"params": self.params, **self.model_state}
