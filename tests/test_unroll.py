"""What `unroll` and `step` cost beside the loop: what is compiled, and when a device is asked."""

import subprocess
import sys
from contextlib import contextmanager

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax as rnn

MODEL = rnn.stack(rnn.LSTM(2, 3), rnn.Dropout(3, 0.5), rnn.GRU(3, 2))


@contextmanager
def compilations():
    """A list with an entry for each program that XLA compiles meanwhile."""
    compiled = []

    def listen(event, duration, **about):
        if event.endswith("backend_compile_duration"):
            compiled.append(about)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_compilations_are_counted():
    with compilations() as compiled:
        jax.jit(lambda x: x + jnp.pi)(jnp.ones(3))
    assert compiled


@pytest.mark.parametrize("method", [rnn.BPTT(), rnn.Scan()], ids=str)
def test_a_second_call_outside_jit_compiles_nothing(method):
    """Of `unroll` and `step`, and of their derivatives in either mode."""
    key = jax.random.key(0)
    lengths = np.array([4, 2])

    def call(seed):
        params = MODEL.init(jax.random.key(seed))
        xs = jax.random.normal(jax.random.key(seed + 1), (4, 2, 2), jnp.float32)

        def loss(params):
            carry, ys = rnn.unroll(MODEL, params, xs, lengths=lengths, key=key, method=method)
            return sum(map(jnp.sum, jax.tree.leaves((carry, ys))))

        rnn.unroll(MODEL, params, xs, key=key, t=seed, reverse=True, method=method)
        rnn.step(MODEL, params, xs[0], key=key, t=seed, reset=jnp.array([True, False]))
        jax.jvp(loss, (params,), (params,))
        return jax.block_until_ready(jax.grad(loss)(params))

    call(0)
    with compilations() as compiled:
        call(5)
    assert not compiled


def test_a_second_update_outside_jit_compiles_nothing():
    cell = rnn.Elman(2, 2)
    trainer = rnn.truncated_bptt(
        cell, lambda ys, xs: jnp.square(ys - xs).sum(-1), optax.sgd(0.1), window=3
    )
    state, xs = trainer.init(cell.init(jax.random.key(0)), (2,)), jnp.ones((3, 2, 2), jnp.float32)
    state, _ = trainer.update(state, xs, xs)
    with compilations() as compiled:
        jax.block_until_ready(trainer.update(state, xs, xs))
    assert not compiled


def test_to_make_a_layer_starts_no_backend():
    """Or else how many devices there are could not be said any more."""
    program = """
import jax, jax.numpy as jnp, optax, rnn_jax as rnn
model = rnn.stack(
    rnn.Embedding(9, 4),
    rnn.bidirectional(rnn.residual(rnn.GRU(4, 4)), rnn.learned_carry(rnn.LSTM(4, 4)), jnp.add),
    rnn.wide_carry(rnn.zoneout(rnn.Jordan(4, 5, 4), 0.5)),
    rnn.variational(rnn.time_scales(rnn.IRNN(4, 4), 1, 9), 0.1, 0.1),
    rnn.leaky(rnn.LayerNormElman(4, 3), 0.5), rnn.Dropout(3, 0.5), rnn.Dense(3, 2),
)
rnn.tied(rnn.Embedding(9, 4), rnn.MGU(4, 4, memory_bias=rnn.Chrono(9)))
rnn.truncated_bptt(model, lambda ys, targets: ys.sum(-1), optax.sgd(1.0))
jax.config.update("jax_num_cpu_devices", 3)
assert jax.device_count() == 3
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_number_of_a_step_may_have_any_integer_dtype():
    layer = rnn.Dropout(3, 0.5)
    xs, key = jnp.ones((9, 3)), jax.random.key(0)
    _, expected = rnn.unroll(layer, (), xs, key=key, t=250)
    for t in (np.uint8(250), np.int16(250), jnp.uint8(250), np.int64(2**32 + 250)):
        _, ys = rnn.unroll(layer, (), xs, key=key, t=t)
        assert (ys == expected).all(), repr(t)
