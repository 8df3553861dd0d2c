"""The softmax cross-entropy that never makes all logits: its values, its gradients, its memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax as rnn
from rnn_jax.losses import linear_cross_entropy as module
from tests import hlo
from tests.cases import assert_close

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def drawn(rng, lead, hidden=3, size=5):
    """hs, table, biases and targets."""
    arrays = (rng.normal(size=shape) for shape in ((*lead, hidden), (size, hidden), size))
    return *map(jnp.asarray, arrays), jnp.asarray(rng.integers(0, size, lead))


@pytest.mark.parametrize(("rows_at_once", "spread"), [(1, 1), (3, 1), (7, 1), (100, 1), (3, 50)])
def test_blocks_make_what_all_logits_make(rng, monkeypatch, rows_at_once, spread):
    monkeypatch.setattr(module, "BLOCK", rows_at_once * 5 * 8)
    hs, table, b, targets = drawn(rng, (7,))
    b = b * spread
    assert (np.ptp(b) < module.CLOSE) == (spread == 1)
    weights = jnp.asarray(rng.normal(size=7))

    def plain(hs, table, b):
        logits = hs @ table.T + b[None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets)

    def blocked(hs, table, b):
        return rnn.linear_cross_entropy(hs, table, b, targets)

    def of(f):
        """The loss of each row; the gradient of their mean, and of a sum in which they differ."""
        mean = jax.grad(lambda *given: f(*given).mean(), (0, 1, 2))
        weighted = jax.grad(lambda *given: f(*given) @ weights, (0, 1, 2))
        return lambda *given: (f(*given), mean(*given), weighted(*given))

    expected, found = jax.jit(lambda *given: (of(plain)(*given), of(blocked)(*given)))(hs, table, b)
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("lead", [(), (3, 1, 2)])
def test_rows_may_have_any_leading_axes(rng, lead):
    hs, table, b, targets = map(np.asarray, drawn(rng, lead))
    logits = hs @ table.T + b
    right = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    expected = np.log(np.exp(logits).sum(-1)) - right
    found = jax.jit(rnn.linear_cross_entropy)(hs, table, b, targets)
    assert found.shape == lead
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize(
    ("outside", "x64"),
    [
        (np.int8([5, -1]), False),
        (np.int64([2**32 + 1, -5]), False),
        (np.int64([2**32 + 1, -5]), True),
    ],
    ids=["int8", "cut to 32 bits", "int64"],
)
def test_what_is_no_class_costs_nan(outside, x64):
    with jax.enable_x64(x64):
        hs, table, b = np.eye(3), np.ones((5, 3)), np.zeros(5)
        targets = np.array([4, *outside], outside.dtype)
        found = rnn.linear_cross_entropy(hs, table, b, targets)
    assert float(found[0]) == pytest.approx(np.log(5), rel=1e-6)
    assert jnp.isnan(found).tolist() == [False, True, True]


def test_memory_does_not_grow_with_the_logits():
    """Four times the rows, and no more of them at once than a block."""
    hidden, size = 4, 50_000

    def memory(rows):
        shapes = (rows, hidden), (size, hidden), (size,)
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        targets = jax.ShapeDtypeStruct((rows,), jnp.int32)

        def loss(hs, table, b, targets):
            return rnn.linear_cross_entropy(hs, table, b, targets).mean()

        return hlo.temporaries(hlo.compiled(jax.grad(loss, (0, 1, 2)), *arrays, targets))

    few, many = memory(500), memory(2_000)
    assert many < few + 1_500 * size * 4 / 100
    assert many < 3 * module.BLOCK
