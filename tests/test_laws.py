"""The laws that every cell obeys, over every row of the table."""

import copy
import dataclasses
import functools
import pickle
import re
from operator import itemgetter

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from jax.test_util import check_grads

import rnn_jax as rnn
from tests.cases import CASES, assert_close, every, every_case, params_of, plain

pytestmark = pytest.mark.usefixtures("no_rank_promotion")

STEPPED_WITH_MARKS = {"elman", "peephole", "embedding", "stack", "tied", "learned-carry"}
METHODS = [rnn.Scan(unroll=2), rnn.BPTT(chunk=2), rnn.BPTT(chunk=2, store=0)]


def scalar(case, method):
    """A loss that reads every output and every leaf of the final carry, by its own weight."""

    def loss(params, xs, carry):
        carry, ys = rnn.unroll(case.cell, params, xs, carry, method=method)
        flat, _ = ravel_pytree((carry, ys))
        return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))

    return loss


def at(index, tree):
    """Entry `index` of the leading axis of every leaf, by NumPy, which compiles no slice."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[index]), tree)


def differentiable(case):
    """Which arguments of the loss have a gradient."""
    return (0, 2) if case.cell.input.kind is jnp.integer else (0, 1, 2)


@every_case
def test_values_are_those_of_the_equations(case):
    batch = (2, 3)
    params, xs = case.params(), case.xs(4, *batch)
    carry = case.carry(params, batch)
    expected = case.reference(plain(params), plain(carry), np.asarray(xs))

    @jax.jit
    def values(*arguments):
        methods = rnn.Scan(), rnn.BPTT(chunk=3)
        return [rnn.unroll(case.cell, *arguments, method=method) for method in methods]

    for last, ys in values(params, xs, carry):
        assert_close((last, list(ys)), expected, 1e-12)


@every("mechanism")
def test_every_method_gives_the_numbers_of_scan(case):
    compare_with_scan(case, 5, METHODS)


@every("loop")
@pytest.mark.parametrize(
    ("steps", "methods"), [(0, [rnn.BPTT()]), (17, [rnn.BPTT(), rnn.BPTT(chunk=7, unroll=3)])]
)
def test_any_number_of_steps_has_the_numbers_of_scan(case, steps, methods):
    compare_with_scan(case, steps, methods)


def compare_with_scan(case, steps, methods):
    params, xs = case.params(), case.xs(steps, 2)
    carry = case.carry(params, (2,))

    @jax.jit
    def outcomes(params, xs, carry):
        wrt = differentiable(case)
        return [
            jax.value_and_grad(scalar(case, method), wrt)(params, xs, carry)
            for method in (rnn.Scan(), *methods)
        ]

    expected, *actual = outcomes(params, xs, carry)
    for outcome in actual:
        assert_close(outcome, expected)


@every("curvature")
def test_second_derivatives_are_those_of_scan(case):
    # A rest that the chunk does not divide compiles to a second program of the same code.
    steps = 5 if case.name == "elman" else 4
    params, xs = case.params(), case.xs(steps)
    carry = case.carry(params)
    wrt = differentiable(case)
    flat, unravel = ravel_pytree(tuple((params, xs, carry)[i] for i in wrt))
    direction = jnp.asarray(np.cos(np.arange(flat.size)))

    def loss(flat, method):
        moved = [params, xs, carry]
        for i, argument in zip(wrt, unravel(flat), strict=True):
            moved[i] = argument
        return scalar(case, method)(*moved)

    @jax.jit
    def of_scan(flat):
        return jax.hessian(lambda x: loss(x, rnn.Scan()))(flat)

    @jax.jit
    def of_bptt(flat):
        f = functools.partial(loss, method=rnn.BPTT(chunk=2))
        forward_over_reverse = jax.hessian(f)(flat)
        reverse_over_reverse = jax.grad(lambda x: jax.grad(f)(x) @ np.asarray(direction))(flat)
        reverse_over_forward = jax.grad(lambda x: jax.jvp(f, (x,), (direction,))[1])(flat)
        return forward_over_reverse, reverse_over_reverse, reverse_over_forward

    expected = of_scan(flat)
    whole, *along = of_bptt(flat)
    assert_close(whole, expected)
    for product in along:
        assert_close(product, np.asarray(expected) @ np.asarray(direction))


@every("loop")
@pytest.mark.parametrize("method", [rnn.Scan(), rnn.BPTT(chunk=2)], ids=str)
def test_gradients_are_those_of_finite_differences(case, method):
    # Half as large, or differences of the steepest rows are not fine enough.
    halves = jax.tree.map(lambda p: p / 2, params_of(case.cell))
    params, xs = case.complete(case.cell, halves), case.xs(5)
    carry = case.carry(params)
    loss = jax.jit(scalar(case, method))
    if case.cell.input.kind is jnp.integer:
        check_grads(lambda p, c: loss(p, xs, c), (params, carry), 1, rtol=1e-6, atol=1e-6)
    else:
        check_grads(loss, (params, xs, carry), 1, rtol=1e-6, atol=1e-6)


@every_case
def test_step_by_step_is_unroll(case):
    if not isinstance(case.cell, rnn.Cell):
        assert not hasattr(case.cell, "step")
        return
    params, xs = case.params(), case.xs(5, 2)
    start = carry = case.carry(params, (2,))
    marks = {}
    if case.name in STEPPED_WITH_MARKS:
        marks = {
            "mask": jnp.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1]], bool),
            "reset": jnp.array([[0, 1], [0, 0], [1, 0], [0, 0], [0, 1]], bool),
        }
    ys = []
    for t in range(5):
        carry, y = rnn.step(case.cell, params, at(t, xs), carry, **at(t, marks))
        ys.append(np.asarray(y))
    assert_close((carry, np.stack(ys)), rnn.unroll(case.cell, params, xs, start, **marks), 1e-12)


@every("recurrence")
def test_project_and_readout_of_all_steps_are_those_of_each_step(case):
    cell, params, xs = case.cell, case.params(), case.xs(4, 2)
    if not isinstance(cell, rnn.Cell):
        assert not hasattr(cell, "project")
        return
    carry = case.carry(params, (2,))

    @jax.jit
    def both(params, xs, carry):
        _, hs = rnn.Scan()(cell, params, xs, carry)
        whole = cell.project(params, xs), cell.readout(params, hs, xs)
        one_by_one = [
            (
                cell.project(params, xs[t]),
                cell.readout(params, jax.tree.map(itemgetter(t), hs), xs[t]),
            )
            for t in range(4)
        ]
        return whole, one_by_one

    whole, one_by_one = both(params, xs, carry)
    for t, one in enumerate(one_by_one):
        assert_close(at(t, whole), one, 1e-12)


@every("recurrence")
def test_recur_of_all_steps_is_that_of_each_step(case):
    cell, params = case.cell, case.params()
    if not isinstance(cell, rnn.Cell):
        assert not hasattr(cell, "recur")
        return
    carries, xs = case.carry(params, (4, 2)), case.xs(4, 2)

    @jax.jit
    def both(params, carries, xs):
        zs = cell.project(params, xs)
        one_by_one = [
            cell.recur(params, *jax.tree.map(itemgetter(t), (carries, zs))) for t in range(4)
        ]
        return cell.recur(params, carries, zs), one_by_one

    whole, one_by_one = both(params, carries, xs)
    for t, one in enumerate(one_by_one):
        assert_close(at(t, whole), one, 1e-12)


@every("loop")
def test_vmap_is_a_batch(case):
    params, xs = case.params(), case.xs(5, 3)
    carry = case.carry(params, (3,))
    wrt = differentiable(case)

    def run(xs, carry):
        return rnn.unroll(case.cell, params, xs, carry)

    mapped = jax.jit(jax.vmap(run, in_axes=(1, 0), out_axes=(0, 1)))(xs, carry)
    assert_close(mapped, jax.jit(run)(xs, carry), 1e-12)

    # Gradients one sequence at a time, and one set of params a sequence.
    loss = jax.grad(scalar(case, rnn.BPTT(chunk=2)), wrt)
    stacked = jax.tree.map(lambda p: np.stack([p, p + 1, p - 1]), jax.tree.map(np.asarray, params))
    mapped = jax.jit(jax.vmap(loss, in_axes=(0, 1, 0)))(stacked, xs, carry)
    loss = jax.jit(loss)
    for i in range(3):
        one = at(i, (stacked, carry))
        alone = loss(one[0], xs[:, i], one[1])
        assert_close(at(i, mapped), alone)


@every("loop")
def test_transformations_compose(case):
    """Rematerialised, and as the body of a scan over pieces of the sequence."""
    params, xs = case.params(), case.xs(6, 2)
    carry = case.carry(params, (2,))
    run = scalar(case, rnn.BPTT(chunk=2))
    wrt = differentiable(case)
    expected = jax.jit(jax.grad(run, wrt))(params, xs, carry)
    assert_close(jax.jit(jax.grad(jax.checkpoint(run), wrt))(params, xs, carry), expected)
    if not isinstance(case.cell, rnn.Cell):
        return  # what comes in a later piece is not known to an earlier one

    def in_pieces(params, xs, carry):
        def piece(carry, xs):
            return rnn.unroll(case.cell, params, xs, carry, method=rnn.BPTT(chunk=2))

        carry, ys = jax.lax.scan(piece, carry, xs.reshape(2, 3, *xs.shape[1:]))
        flat, _ = ravel_pytree((carry, ys))
        return jnp.sum(jnp.sin(flat + jnp.arange(flat.size, dtype=flat.dtype)))

    assert_close(jax.jit(jax.grad(in_pieces, wrt))(params, xs, carry), expected)


@every_case
def test_a_cell_is_a_value(case):
    one, other = case.build(), case.build()
    assert one == other
    assert hash(one) == hash(other)
    assert type(one).__name__ in repr(one)
    assert " at 0x" not in repr(one)  # settings by their names
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.input_size = 4


@every_case
def test_a_rebuilt_cell_does_not_retrace(case):
    params, xs = case.params(), case.xs(3)

    chex.clear_trace_counter()

    @functools.partial(jax.jit, static_argnums=0)
    @chex.assert_max_traces(n=1)
    def run(cell, params, xs):
        return rnn.unroll(cell, params, xs)

    run.trace(case.build(), params, xs)
    run.trace(case.build(), params, xs)


@every("arithmetic")
def test_no_dtype_is_promoted(case):
    """Strict promotion is on, so a silent cast inside is an error; here the ends are looked at."""
    dtype = jnp.bfloat16  # the suite's own is float64, and that of examples in documents float32
    params, xs = case.params(dtype), case.xs(5, 2, dtype=dtype)

    @jax.jit
    def outcome(params, xs):
        def loss(params):
            carry, ys = rnn.unroll(case.cell, params, xs)
            total = sum(jnp.sum(leaf, dtype=dtype) for leaf in jax.tree.leaves((carry, ys)))
            return total, (carry, ys)

        return jax.grad(loss, has_aux=True)(params)

    grads, (carry, ys) = outcome(params, xs)
    assert {leaf.dtype for leaf in jax.tree.leaves((grads, ys))} == {jnp.dtype(dtype)}
    wanted = jnp.float32 if isinstance(case.cell, rnn.WideCarry) else dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} <= {jnp.dtype(wanted)}


@every("loop")
def test_a_loss_in_low_precision_has_a_float32_gradient(case):
    """The documented way: cast inside the loss, and the gradient arrives in float32."""
    # Of several networks, for how the roundings of a single one add up is chance.
    networks, rng = 64, np.random.default_rng(0)
    fresh = jax.tree.map(np.asarray, case.cell.init(jax.random.key(0)))

    def moved(p):
        return jnp.asarray(p + 0.3 * rng.normal(size=p.shape), p.dtype)

    each = [case.complete(case.cell, jax.tree.map(moved, fresh)) for _ in range(networks)]
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    xs = case.xs(5, 2, dtype=jnp.float32)

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def gradients(params, dtype, method):
        def loss(params):
            params = optax.tree.cast(params, dtype)
            inputs = xs.astype(dtype) if jnp.issubdtype(xs.dtype, jnp.floating) else xs
            _, ys = rnn.unroll(case.cell, params, inputs, method=method)
            return jnp.mean(jnp.square(ys.astype(jnp.float32)))

        return jax.vmap(jax.grad(loss))(params)

    def error(method):
        """Relative to float32; how large it is depends on how far the cell saturates."""
        grads = gradients(params, jnp.bfloat16, method)
        assert {g.dtype for g in jax.tree.leaves(grads)} == {jnp.dtype(jnp.float32)}
        low, high = (
            np.concatenate([np.reshape(g, (networks, -1)) for g in jax.tree.leaves(tree)], 1)
            for tree in (grads, exact)
        )
        return np.median(np.linalg.norm(low - high, axis=1) / np.linalg.norm(high, axis=1))

    exact = gradients(params, jnp.float32, rnn.Scan())
    assert error(rnn.BPTT()) <= 1.25 * error(rnn.Scan())


@every_case
def test_an_initial_carry_shares_no_array(case):
    """Neither with the params nor within itself, or to donate the one would delete the other."""
    params = case.params()

    def carries(params):
        return [case.cell.initial_carry(params, batch_shape) for batch_shape in ((), (2,))]

    for made in (carries(params), jax.jit(carries)(params)):
        buffers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((params, made))]
        assert len(set(buffers)) == len(buffers)


@every("mechanism")
def test_params_and_carry_can_be_donated(case):
    params = case.params()
    carry = case.cell.initial_carry(params, (2,))
    run = jax.jit(lambda p, c, xs: (p, *rnn.unroll(case.cell, p, xs, c)), donate_argnums=(0, 1))
    params, carry, _ = run(params, carry, case.xs(1, 2))
    run(params, carry, case.xs(1, 2))


@every_case
def test_parameter_count_is_that_of_the_docstring(case):
    """The formula after `Parameters:` in the docstring, worked out for this cell."""
    cell = case.cell
    doc = " ".join(type(cell).__doc__.split())
    if "Parameters: `" not in doc:
        assert not isinstance(cell, rnn.SizedCell) or not type(cell).__module__.startswith(
            "rnn_jax"
        )
        return
    formula = doc.split("Parameters: `")[1].split("`")[0]
    sizes = dataclasses.asdict(cell)
    names = {"D": "input_size", "H": "hidden_size", "O": "output_size", "P": "projection_size"}
    values = {short: sizes[name] for short, name in names.items() if name in sizes} | sizes
    formula = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", formula.replace("^", "**"))
    assert ravel_pytree(case.params())[0].size == eval(formula, {}, values)


def stacks_in(layer):
    """How many stacks a layer is made of."""
    if isinstance(layer, tuple):
        return sum(map(stacks_in, layer))
    if not isinstance(layer, rnn.Layer):
        return 0
    inside = (getattr(layer, field.name) for field in dataclasses.fields(layer))
    return isinstance(layer, rnn.LayerStack) + sum(map(stacks_in, inside))


@every_case
def test_params_are_found_by_name(case):
    """Numbers are the places in a stack, all else has a name: a mask of optax is one line."""
    places = [path for path, _ in jax.tree.leaves_with_path(case.params())]
    numbered = {
        path[:depth]
        for path in places
        for depth, key in enumerate(path)
        if not isinstance(key, jax.tree_util.GetAttrKey)
    }
    assert len(numbered) == stacks_in(case.cell)
    assert all(jax.tree_util.keystr(path[-1:], simple=True).isidentifier() for path in places)


@every_case
def test_what_begins_with_b_is_a_bias(case):
    """It has fewer axes than the weights beside it; a matrix B has its parts below its name."""
    leaves = jax.tree.leaves_with_path(case.params())
    for path, leaf in leaves:
        if jax.tree_util.keystr(path[-1:], simple=True).startswith("b"):
            beside = [other.ndim for place, other in leaves if place[: len(path) - 1] == path[:-1]]
            assert leaf.ndim < max(beside)


@every_case
def test_layers_and_params_survive_a_pickle_and_a_copy(case):
    cell, params = case.cell, case.params()
    sent, arrived = pickle.loads(pickle.dumps((cell, params)))
    assert sent == cell
    assert hash(sent) == hash(cell)
    assert copy.deepcopy(cell) is copy.copy(cell) is cell
    assert_close(arrived, params, 0)


@settings(max_examples=4)
@given(
    case=st.sampled_from(CASES),
    steps=st.integers(0, 9),
    chunk=st.integers(1, 10),
    batch=st.lists(st.integers(1, 3), max_size=2),
)
def test_random_shapes_have_the_numbers_of_the_loop_and_the_scan(case, steps, chunk, batch):
    """Any T, any chunk, any batch axes: values of the equations, gradients of the plain scan."""
    params, xs = case.params(), case.xs(steps, *batch)
    carry = case.carry(params, tuple(batch))
    method = rnn.BPTT(chunk=chunk)

    @jax.jit
    def outcomes(params, xs, carry):
        values = rnn.unroll(case.cell, params, xs, carry, method=method)
        grads = [
            jax.grad(scalar(case, m), differentiable(case))(params, xs, carry)
            for m in (method, rnn.Scan())
        ]
        return values, grads

    (last, ys), (grads, by_scan) = outcomes(params, xs, carry)
    expected = case.reference(plain(params), plain(carry), np.asarray(xs))
    assert_close((last, list(ys)), expected, 1e-12)
    assert_close(grads, by_scan)
