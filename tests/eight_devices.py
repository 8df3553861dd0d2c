"""What tests/test_placement.py runs on eight devices, in a process of its own."""

import sys

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import rnn_jax as rnn
from rnn_jax.recurrence.beside import has_room
from tests.cases import CASES, VOCABULARY, Case, larger
from tests.four_devices import close, collectives

jax.config.update("jax_enable_x64", True)

STEPS, BATCH = 7, 8
OVER_BATCH = P(None, "data")
# With an epsilon, for Adam makes a step of full length of a gradient that is nothing but rounding.
ADAM = optax.adam(1e-2, eps=1e-3)
NOISY = rnn.stack(
    rnn.Embedding(VOCABULARY, 3),
    rnn.Dropout(3, 0.4),
    rnn.bidirectional(rnn.learned_carry(rnn.Elman(3, 2)), rnn.GRU(3, 2)),
    rnn.zoneout(rnn.variational(rnn.GRU(4, 3), 0.3, 0.3), 0.3),
    rnn.VariationalDropout(3, 0.4),
    rnn.residual(rnn.time_scales(rnn.LSTM(3, 3), 1.0, 9.0)),
    rnn.Dense(3, VOCABULARY),
)


def mesh_of(data, model):
    return jax.make_mesh((data, model), ("data", "model"), axis_types=(AxisType.Auto,) * 2)


def of_state(mesh, layer, state):
    """How all that training keeps is split: the state of Adam as the params that it is of."""
    placed = rnn.placement(layer, mesh)
    opt_state = optax.tree.map_params(
        ADAM,
        lambda _, spec: spec,
        state.opt_state,
        placed.params,
        transform_non_params=lambda _: P(),
    )
    return rnn.TrainState(placed.params, opt_state, placed.carry, P())


def marks():
    return {
        "mask": jax.random.bernoulli(jax.random.key(5), 0.8, (STEPS, BATCH)),
        "reset": jax.random.bernoulli(jax.random.key(6), 0.2, (STEPS, BATCH)),
    }


def squares(ys, targets):
    return jnp.square(ys - targets).reshape(STEPS, BATCH, -1).sum(-1)


def trained(case, mesh, loss=squares):
    """Two windows of truncated BPTT on one device and on the mesh: both programs and states."""
    cell, params = case.cell, case.params()
    trainer = rnn.truncated_bptt(cell, loss, ADAM, window=STEPS)
    xs = case.xs(STEPS, BATCH)
    emitted = jax.eval_shape(lambda: rnn.unroll(cell, params, xs, key=jax.random.key(0))[1])
    tokens = loss is not squares
    targets = xs if tokens else jax.random.normal(jax.random.key(7), emitted.shape, float)
    alone = trainer.init(params, (BATCH,))
    specs = of_state(mesh, cell, alone)

    def update(state, xs, targets, marks, key):
        return trainer.update(state, xs, targets, **marks, key=key)

    window = xs, targets, marks(), jax.random.key(3)
    whole = jax.jit(update).lower(alone, *window).compile()
    with jax.set_mesh(mesh):
        over = specs, OVER_BATCH, OVER_BATCH, OVER_BATCH, P()
        # Nobody says how the last carry is split, so that it can be seen that it is not gathered.
        out = specs._replace(carry=None), P()
        split = jax.jit(update, in_shardings=over, out_shardings=out)
        state, moved = jax.device_put((alone, window), (specs, over[1:]))
        split = split.lower(state, *moved).compile()
        for _ in range(2):
            alone, metrics = whole(alone, *window)
            state, found = split(jax.device_put(state, specs), *moved)
            close((state, found), (alone, metrics), case.name)
    return whole, split, alone, state, specs


def training():
    """Numbers, bytes a device, and what travels, of a language model."""
    vocabulary, hidden, mesh = 64, 32, mesh_of(4, 2)
    model = rnn.stack(
        rnn.Embedding(vocabulary, 16),
        rnn.Dropout(16, 0.3),
        rnn.LSTM(16, hidden),
        rnn.Dense(hidden, vocabulary),
    )
    words = optax.softmax_cross_entropy_with_integer_labels
    whole, split, alone, state, specs = trained(Case("words", lambda: model, None), mesh, words)

    wanted = jax.tree.map(lambda x: x.nbytes, alone)
    found = jax.tree.map(lambda x: x.addressable_shards[0].data.nbytes, state)
    parts = jax.tree.map(lambda all_, one: all_ // one, wanted, found)
    assert set(jax.tree.leaves(parts.params)) == {2}, parts
    assert set(jax.tree.leaves(parts.carry)) == {8}, parts
    assert sum(jax.tree.leaves(found.opt_state)) <= sum(jax.tree.leaves(wanted.opt_state)) / 2 + 8
    sizes = [program.memory_analysis().temp_size_in_bytes for program in (split, whole)]
    assert sizes[0] < sizes[1] / 2, sizes
    assert state.carry[2].h.sharding.spec == specs.carry[2].h == P("data", "model")
    in_the_loop(split, BATCH // 4, hidden)


def in_the_loop(program, rows, hidden):
    """Nothing of a step is larger than h of a device's rows: no weight, and no four gates."""
    inside = [(kind, shapes) for kind, shapes, entry in collectives(program) if not entry]
    assert {kind for kind, _ in inside} >= {"all-gather", "all-reduce"}, inside
    for kind, shapes in inside:
        for shape in shapes:
            assert jnp.prod(jnp.array(shape)) <= rows * hidden, (kind, shape)


def meshes():
    """A batch alone, a model alone, either way between, and one device."""
    cell = rnn.stack(rnn.Dropout(4, 0.3), rnn.GRU(4, 8), rnn.Dense(8, 16))
    for data, model in ((8, 1), (1, 8), (2, 4), (1, 1)):
        trained(Case(f"{data} by {model}", lambda: cell, None), mesh_of(data, model))


def table():
    """Every row of the table of cells: value, gradient and last carry, and training."""
    mesh = mesh_of(4, 2)
    for row in (*CASES, Case("noisy", lambda: NOISY, None)):
        case = row._replace(build=lambda row=row: larger(row.cell, 8))
        differentiated(case, mesh)
        if not has_room(case.cell.init(jax.random.key(0))):  # no optimiser keeps a memory
            trained(case, mesh)
        jax.clear_caches()


def differentiated(case, mesh):
    cell, key = case.cell, jax.random.key(3)
    params = case._replace(complete=lambda cell, params: params).params()
    lengths = jnp.array([7, 3, 0, 5, 2, 7, 1, 6])

    def loss(params, xs, lengths, marks):
        given = case.complete(cell, params)
        carry, ys = rnn.unroll(cell, given, xs, lengths=lengths, **marks, key=key)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((carry, ys))), carry

    f = jax.value_and_grad(loss, has_aux=True)
    arguments = params, case.xs(STEPS, BATCH), lengths, marks()
    placed = rnn.placement(cell, mesh)
    with jax.set_mesh(mesh):
        over = placed.params, OVER_BATCH, P("data"), OVER_BATCH
        split = jax.jit(f, in_shardings=over, out_shardings=((P(), placed.carry), placed.params))
        found = split(*jax.device_put(arguments, over))
    close(found, jax.jit(f)(*arguments), case.name)


if __name__ == "__main__":
    assert jax.device_count() == 8
    for what in sys.argv[1:]:
        globals()[what]()
        print(what)
