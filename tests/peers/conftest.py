"""What the libraries beside this one need while they run."""

import jax
import pytest


@pytest.fixture
def promoting():
    """What Flax needs while it makes modules and runs them."""
    with jax.numpy_dtype_promotion("standard"):
        yield
