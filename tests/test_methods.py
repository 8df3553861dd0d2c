"""What a method is: four arguments, over the five functions of whichever cell it is given."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.flatten_util import ravel_pytree

import rnn_jax as rnn
from rnn_jax.recurrence.padding import padded
from rnn_jax.recurrence.steps import Steps
from rnn_jax.recurrence.structure import structure
from tests.cases import CASES, assert_close, every, normal, params_of

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


class Counting:
    """A user's method: the loop that a textbook shows, which counts its steps."""

    def __init__(self):
        self.steps = []

    def __call__(self, cell, params, xs, carry):
        zs = cell.project(params, xs)

        def step(state, z):
            count, carry = state
            carry, h = cell.step(params, carry, z)
            return (count + 1, carry), h

        (count, carry), hs = lax.scan(step, (0, carry), zs)
        jax.debug.callback(lambda n: self.steps.append(int(n)), count)
        return carry, hs


@every("direction")
def test_a_users_method_of_four_arguments_runs_every_cell_with_marks(case):
    params, xs = case.params(), case.xs(5, 2)
    marks = {
        "lengths": jnp.array([5, 3]),
        "reset": jnp.array([[0, 1], [0, 0], [1, 0], [0, 0], [0, 1]], bool),
    }
    counting = Counting()
    found = rnn.unroll(case.cell, params, xs, **marks, method=counting)
    jax.effects_barrier()
    assert_close(found, rnn.unroll(case.cell, params, xs, **marks, method=rnn.Scan()), 1e-12)
    memoryless = isinstance(case.cell, rnn.Memoryless)
    assert counting.steps == [] if memoryless else set(counting.steps) == {5}


# (what every step emits is a part of its carry, derivatives follow from the carry alone, the loop's
# matmuls are affine in the carry, `update` keeps units apart)
FACTS = {
    "elman": (True, True, True, True),
    "elman-sin": (True, False, True, True),
    "lstm": (True, False, True, True),
    "gru": (True, False, True, True),
    "jordan": (True, False, False, True),
    "layer-norm-elman": (True, True, False, True),
    "projected-lstm": (True, False, True, True),
    "output-gated": (False, False, True, True),
    "time-scales": (True, False, True, True),
    "leaky": (True, False, True, True),
    "wide-carry": (True, False, True, True),
    "peephole": (False, True, False, True),
}


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("name", FACTS)
def test_structure_is_read_from_the_programs_and_survives_marks(name, marked):
    (case,) = (case for case in CASES if case.name == name)
    cell, params, xs = case.cell, case.params(), case.xs(4, 2)
    carry = case.carry(params, (2,))
    if marked:
        marks = jnp.ones((4, 2), bool)
        steps = Steps(marks, marks, cell.initial_carry(params, (2,)))
        cell, params, xs = padded(cell, params, xs, steps)
    facts = structure(cell, params, carry, xs)
    found = (
        facts.emits_carry,
        facts.derives_from_carry,
        facts.recur_is_affine,
        facts.update_is_unitwise,
    )
    emits, derives, affine, unitwise = FACTS[name]
    # A mark of each step is handed from `recur` to `update`, and so to its derivative.
    assert found == (emits, derives and not marked, affine, unitwise)
    assert not facts.is_affine


def test_a_step_that_is_affine_in_the_carry_is_found_out(key):
    @dataclasses.dataclass(frozen=True)
    class Decay(rnn.SizedCell):
        def init(self, key, dtype=jnp.float32):
            return jnp.full(self.hidden_size, 0.5, dtype)

        def initial_carry(self, params, batch_shape=()):
            return jnp.zeros((*batch_shape, self.hidden_size), params.dtype)

        def project(self, params, xs):
            return xs

        def recur(self, params, carry, z):
            return jnp.broadcast_to(params, z.shape), z

        def update(self, carry, a):
            return a[0] * carry + a[1]

    cell = Decay(3, 3)
    params = cell.init(key)
    assert structure(cell, params, jnp.zeros_like(params), jnp.ones((4, 3), params.dtype)).is_affine


def spike(v):
    return (v > 0).astype(v.dtype)


def slope(v):
    return 1 / (1 + jnp.abs(v)) ** 2


@jax.custom_vjp
def custom_spike(v):
    return spike(v)


custom_spike.defvjp(lambda v: (spike(v), v), lambda v, ct: (slope(v) * ct,))


@dataclasses.dataclass(frozen=True)
class Spiking(rnn.SizedCell):
    """Leaky integrate-and-fire units: `v = 0.9 v (1 - s) + a`, `s = spike(v - 1)`."""

    spike: object = dataclasses.field(default=rnn.surrogate(spike, slope))

    def init(self, key, dtype=jnp.float32):
        k_x, k_h = jax.random.split(key)
        return {
            "x": jax.random.normal(k_x, (self.input_size, self.hidden_size), dtype),
            "h": jax.random.normal(k_h, (self.hidden_size, self.hidden_size), dtype),
        }

    def initial_carry(self, params, batch_shape=()):
        shape = (*batch_shape, self.hidden_size)
        return {name: jnp.zeros(shape, params["x"].dtype) for name in ("s", "v")}

    def project(self, params, xs):
        return xs @ params["x"]

    def recur(self, params, carry, z):
        return z + carry["s"] @ params["h"]

    def update(self, carry, a):
        v = 0.9 * carry["v"] * (1 - carry["s"]) + a
        return {"s": self.spike(v - 1), "v": v}


def spikes(cell, params, xs, method):
    return jnp.mean(jnp.square(rnn.unroll(cell, params, xs, method=method)[1].mean(0) - 0.3))


def test_a_custom_vjp_inside_a_cell_is_refused_by_name_and_a_surrogate_trains(key):
    xs = normal((20, 4, 3))
    old, new = Spiking(3, 8, custom_spike), Spiking(3, 8)
    params = params_of(new)
    by_scan = jax.grad(spikes, 1)(old, params, xs, rnn.Scan())
    assert_close(jax.grad(spikes, 1)(new, params, xs, rnn.BPTT(chunk=7)), by_scan, 1e-12)
    assert_close(rnn.unroll(old, params, xs), rnn.unroll(new, params, xs), 0)
    with pytest.raises(rnn.StructureError, match=r"step of Spiking.*jax\.custom_vjp.*surrogate"):
        jax.grad(spikes, 1)(old, params, xs, rnn.BPTT())

    optimizer = optax.sgd(1.0)

    @jax.jit
    def update(params, state):
        loss, grads = jax.value_and_grad(spikes, 1)(new, params, xs, rnn.BPTT())
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimizer.init(params), []
    for _ in range(100):
        params, state, loss = update(params, state)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 4


def clip(ct):
    return jax.tree.map(lambda g: jnp.clip(g, -0.05, 0.05), ct)


@jax.custom_vjp
def clipped(carry):
    return carry


clipped.defvjp(lambda carry: (carry, None), lambda _, ct: (clip(ct),))


@dataclasses.dataclass(frozen=True)
class ByScan(rnn.Cell):
    """The cell with its carry's cotangent clipped by JAX's own means."""

    layer: rnn.Cell

    @property
    def input(self):
        return self.layer.input

    def init(self, key, dtype=jnp.float32):
        return self.layer.init(key, dtype)

    def initial_carry(self, params, batch_shape=()):
        return self.layer.initial_carry(params, batch_shape)

    def project(self, params, xs):
        return self.layer.project(params, xs)

    def step(self, params, carry, z):
        return self.layer.step(params, clipped(carry), z)


@pytest.mark.parametrize("name", ["lstm", "output-gated", "peephole"])
def test_a_mapped_cotangent_is_that_of_a_custom_vjp_in_a_scan(name):
    (case,) = (case for case in CASES if case.name == name)
    params, xs = case.params(), case.xs(9, 2)
    carry = case.carry(params, (2,))
    cell = rnn.map_cotangent(case.cell, clip)

    def loss(cell, method, arguments):
        out = rnn.unroll(cell, *arguments, lengths=jnp.array([9, 6]), method=method)
        flat, _ = ravel_pytree(out)
        return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))

    @jax.jit
    def gradients(arguments):
        ways = [
            (ByScan(case.cell), rnn.Scan()),
            (cell, rnn.Scan()),
            (cell, rnn.BPTT(chunk=4)),
            (case.cell, rnn.BPTT()),
        ]
        return [jax.value_and_grad(functools.partial(loss, *way))(arguments) for way in ways]

    expected, by_scan, by_bptt, free = gradients((params, xs, carry))
    assert_close(by_scan, expected, 1e-12)
    assert_close(by_bptt, expected, 1e-12)
    assert_close(by_bptt[0], free[0], 1e-12)
    assert np.abs(ravel_pytree(free[1])[0] - ravel_pytree(expected[1])[0]).max() > 0.1


def test_second_derivatives_through_a_mapped_cotangent_are_those_of_a_scan(key):
    base = rnn.Elman(2, 2)
    cell, params = rnn.map_cotangent(base, clip), params_of(base)
    xs = normal((5, 2))

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def hessian(cell, method, params):
        def loss(flat):
            return jnp.sum(jnp.sin(3 * rnn.unroll(cell, unravel(flat), xs, method=method)[1]))

        flat, unravel = ravel_pytree(params)
        return jax.jacfwd(jax.grad(loss))(flat)

    expected = hessian(ByScan(base), rnn.Scan(), params)
    assert_close(hessian(cell, rnn.BPTT(chunk=2), params), expected, 1e-11)


@pytest.mark.slow
def test_nested_checkpoints_around_any_method(key):
    cell = rnn.GRU(2, 3)
    params = params_of(cell)
    xs = normal((150, 2))

    @jax.jit
    def gradients(params):
        def loss(params, method):
            return jnp.sum(jnp.sin(rnn.unroll(cell, params, xs, method=method)[1]))

        methods = [
            rnn.Scan(),
            rnn.Checkpointed(rnn.Scan(), "sqrt"),
            rnn.Checkpointed(rnn.BPTT(), "log"),
            rnn.Checkpointed(rnn.Checkpointed(rnn.BPTT(), 4), 40),
        ]
        return [jax.value_and_grad(loss)(params, method) for method in methods]

    expected, *found = gradients(params)
    for one in found:
        assert_close(one, expected)
