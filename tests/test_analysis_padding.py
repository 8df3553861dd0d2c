"""What an analysis says of a sequence in a padded batch is what it says of it alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax as rnn
from rnn_jax import analysis
from tests.cases import CASES, assert_close, every

pytestmark = pytest.mark.usefixtures("no_rank_promotion")


def squares(ys, targets):
    return jnp.square(ys - targets).sum(-1)


def spoiled(tree, happens):
    """NaN, or a token that there is not, in every padded place."""

    def leaf(x):
        nothing = -(10**6) if jnp.issubdtype(x.dtype, jnp.integer) else np.nan
        there = happens.reshape(*happens.shape, *(1,) * (x.ndim - happens.ndim))
        return np.where(there, x, nothing).astype(x.dtype)

    return jax.tree.map(leaf, tree)


LAST = analysis.last(lambda y, _: jnp.square(y).sum(-1))
WARMING = {"k": 2, "warmup": 1, "warmup_q": 1, "every": 2}


def each_loss(analyse):
    """The same of the losses of all steps, and of the last."""

    def both(cell, params, xs, carry, targets, marks):
        return (
            analyse(cell, params, xs, carry, loss=squares, targets=targets, **marks),
            analyse(cell, params, xs, carry, loss=LAST, **marks),
        )

    return both


def products(cell, params, xs, carry, targets, marks):
    walk = analysis.propagator(cell, params, xs, carry, **marks)
    direction = jnp.cos(analysis.flatten_carry(cell, params, carry))
    return walk.jvp(direction), walk.vjp(direction)


def flossing(cell, params, xs, carry, targets, marks):
    """With its gradient, in which a NaN of the padding would be seen."""
    return jax.value_and_grad(
        lambda p: analysis.flossing_loss(cell, p, xs, carry, **WARMING, **marks)
    )(params)


def omega(cell, params, xs, carry, targets, marks):
    given = {"loss": squares, "targets": targets, **marks}
    return jax.value_and_grad(lambda p: analysis.omega(cell, p, xs, carry, **given))(params)


def metrics(cell, params, xs, carry, targets, marks):
    given = {"loss": squares, "targets": targets, "lags": [0, 2], **marks}
    return analysis.gradient_metrics(cell, params, xs, carry, **given)


def plain(analyse, **options):
    def of(cell, params, xs, carry, targets, marks):
        return analyse(cell, params, xs, carry, **options, **marks)

    return of


# Of each: the analysis, and how what it says of five steps among eight is that of five alone.
ANALYSES = {
    "step_jacobians": (plain(analysis.step_jacobians), lambda j, happens: j[happens]),
    "propagator": (products, None),
    "gradient_spectrum": (plain(analysis.gradient_spectrum, lags=[1, 3]), None),
    "leading_gradient_spectrum": (
        plain(analysis.leading_gradient_spectrum, k=1, lags=[1, 3]),
        None,
    ),
    "lyapunov_spectrum": (
        lambda *given: plain(analysis.lyapunov_spectrum, **WARMING)(*given).exponents,
        None,
    ),
    "adjoint_lyapunov_spectrum": (
        lambda *given: plain(analysis.adjoint_lyapunov_spectrum, **WARMING)(*given).exponents,
        None,
    ),
    "flossing_loss": (flossing, None),
    "gradient_map": (
        each_loss(analysis.gradient_map),
        lambda maps, _: tuple(
            analysis.GradientMap(found.log_norms[:5, :5], found.by_lag[:5]) for found in maps
        ),
    ),
    "gradient_by_lag": (
        each_loss(analysis.gradient_by_lag),
        lambda found, _: tuple(norms[:5] for norms in found),
    ),
    "weight_gradient_by_lag": (
        each_loss(
            lambda *given, **options: analysis.weight_gradient_by_lag(*given, max_lag=2, **options)
        ),
        None,
    ),
    "omega": (omega, None),
    "saturated_share": (plain(analysis.saturated_share), lambda shares, _: shares[:, :5]),
    "gradient_metrics": (metrics, None),
}


@pytest.mark.parametrize("analysis_name", ANALYSES)
@every("analysis", [case for case in CASES if case.name in {"lstm", "stack", "reset-before-gru"}])
def test_a_sequence_has_the_numbers_that_it_has_alone(case, analysis_name):
    """Five steps that happen among eight, by a length and a mask, with NaN in the others."""
    happens = np.array([1, 0, 1, 1, 0, 1, 1, 0], bool)
    mask, length = happens | (np.arange(8) == 7), 7
    params, xs = case.params(), np.asarray(case.xs(8))
    carry = case.carry(params)
    _, ys = jax.eval_shape(lambda: rnn.unroll(case.cell, params, xs))
    targets = np.sin(np.arange(float(ys.size))).reshape(ys.shape)
    analyse, part = ANALYSES[analysis_name]
    alone = jax.jit(lambda params, xs, targets: analyse(case.cell, params, xs, carry, targets, {}))(
        params, xs[happens], targets[happens]
    )
    padded = jax.jit(
        lambda params, xs, targets, marks: analyse(case.cell, params, xs, carry, targets, marks)
    )(params, *spoiled((xs, targets), happens), {"lengths": length, "mask": mask})
    assert_close(padded if part is None else part(padded, happens), alone, 1e-9)


def of(name):
    (case,) = (case for case in CASES if case.name == name)
    return case.cell, case.params()


LENGTHS, STEPS = (4, 2, 0), 5


@pytest.fixture(scope="module")
def batch():
    """A batch of sequences of 4, 2 and 0 steps among 5, and what analyses say of it and of each."""
    cell, params = of("elman")
    xs = np.random.default_rng(3).normal(size=(STEPS, 3, 2))
    targets = np.sin(np.arange(STEPS * 9.0)).reshape(STEPS, 3, 3)

    def outcomes(params, xs, targets, **marks):
        given = {"loss": squares, "targets": targets, **marks}
        return {
            "map": analysis.gradient_map(cell, params, xs, **given).log_norms,
            "by lag": analysis.gradient_by_lag(cell, params, xs, **given),
            "weights": analysis.weight_gradient_by_lag(cell, params, xs, **given),
            "omega": analysis.omega(cell, params, xs, **given),
            "saturated": analysis.saturated_share(cell, params, xs, slope=0.9, **marks),
        }

    @jax.jit
    def together(params, xs, targets, lengths):
        given = {"loss": squares, "targets": targets, "lengths": lengths}
        one_each = {
            "noise": analysis.signal_to_noise_by_lag(cell, params, xs, **given),
            "jacobians": analysis.step_jacobians(cell, params, xs, lengths=lengths),
            "rates": analysis.lyapunov_spectrum(cell, params, xs, lengths=lengths),
            "spectrum": analysis.gradient_spectrum(cell, params, xs, lengths=lengths),
        }
        return outcomes(params, xs, targets, lengths=lengths) | one_each

    happens = np.arange(STEPS)[:, None] < np.array(LENGTHS)
    found = together(params, *spoiled((xs, targets), happens), jnp.array(LENGTHS))
    alone = [
        jax.jit(outcomes)(params, xs[:n, b], targets[:n, b]) for b, n in enumerate(LENGTHS[:2])
    ]
    return jax.tree.map(np.asarray, (found, alone))


def test_a_mean_over_a_batch_is_over_the_sequences_that_are_so_long(batch):
    found, (long, short) = batch
    expected = np.exp(long["map"])
    expected[:2, :2] = (expected[:2, :2] + np.exp(short["map"])) / 2
    assert_close(np.exp(found["map"][:4, :4]), expected, 1e-12)
    assert np.isneginf(found["map"][4]).all()
    assert np.isneginf(found["map"][:, 4]).all()
    expected = np.append(long["by lag"], 0)
    expected[:2] = (expected[:2] + short["by lag"]) / 2
    assert_close(found["by lag"], expected, 1e-12)
    expected = np.array(long["saturated"])
    expected[:, :2] = (expected[:, :2] + short["saturated"]) / 2
    assert_close(found["saturated"][:, :4], expected, 1e-12)
    assert np.isnan(found["saturated"][:, 4]).all()
    assert_close(found["omega"], (long["omega"] + short["omega"]) / 3, 1e-12)


def test_the_weight_gradient_is_that_of_the_mean_over_all_steps_that_happen(batch):
    found, (long, short) = batch

    def pooled(long, short):
        shorter = np.concatenate([short, np.zeros_like(long[2:])])
        return np.concatenate([(4 * long + 2 * shorter) / 6, np.zeros_like(long[:1])])

    assert_close(found["weights"], jax.tree.map(pooled, long["weights"], short["weights"]), 1e-12)


def test_the_noise_is_that_between_the_sequences_that_there_are(batch):
    found, alone = batch
    flat = [
        np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(one["weights"])], 1)
        for one in alone
    ]
    grads = np.stack([np.pad(g, ((0, STEPS - len(g)), (0, 0))) for g in flat])
    assert_close(found["noise"].signal, np.linalg.norm(grads.mean(0), axis=-1), 1e-12)
    apart = np.linalg.norm(grads[0] - grads[1], axis=-1) / np.sqrt(2)
    assert_close(found["noise"].noise, apart, 1e-12)


def test_where_a_sequence_is_over_there_is_no_lag_and_nothing_moves(batch):
    found, _ = batch
    for b, n in enumerate(LENGTHS):
        assert_close(found["jacobians"][n:, b], np.tile(np.eye(3), (STEPS - n, 1, 1)), 0)
        assert np.isfinite(found["spectrum"].log_values[:n, b]).all()
        assert np.isnan(found["spectrum"].log_values[n:, b]).all()
        # At any time the exponents sum to the mean of the determinants so far.
        if n:
            each = np.linalg.slogdet(found["jacobians"][:n, b])[1]
            so_far = np.cumsum(each) / np.arange(1, n + 1)
            expected = np.append(so_far, np.repeat(so_far[-1:], STEPS - n))
            assert_close(found["rates"].running[:, b].sum(-1), expected, 1e-10)
    assert np.isnan(found["rates"].exponents[2]).all()


def test_no_gradient_passes_the_beginning_of_a_sequence():
    """Three steps, a gap that bears the mark, and two steps: as two sequences, of any params."""
    cell, params = of("learned-carry")
    xs = np.random.default_rng(4).normal(size=(6, 2))
    mask, reset = np.arange(6) != 3, np.arange(6) == 3

    def outcomes(params, xs, **marks):
        given = {"loss": lambda ys, _: jnp.square(ys).sum(-1), **marks}
        omega = jax.value_and_grad(lambda p: analysis.omega(cell, p, xs, **given))
        return {
            "map": analysis.gradient_map(cell, params, xs, **given).log_norms,
            "weights": analysis.weight_gradient_by_lag(cell, params, xs, **given, max_lag=1),
            "omega": omega(params),
            "saturated": analysis.saturated_share(cell, params, xs, slope=0.9, **marks),
            "jacobians": analysis.step_jacobians(cell, params, xs, **marks),
        }

    run = jax.jit(outcomes)
    found = run(params, xs, mask=mask, reset=reset), run(params, xs[:3]), run(params, xs[4:])
    packed, first, second = jax.tree.map(np.asarray, found)
    blocks = np.full((6, 6), -np.inf)
    blocks[:3, :3], blocks[3:5, 3:5] = first["map"], second["map"]
    assert_close(packed["map"], blocks, 1e-12)
    both = jax.tree.map(lambda a, b: (3 * a + 2 * b) / 5, first["weights"], second["weights"])
    assert_close(packed["weights"], both, 1e-12)
    both = jax.tree.map(np.add, first["omega"], second["omega"])
    assert_close(packed["omega"], both, 1e-12)
    assert_close(
        packed["saturated"][:, :5],
        np.concatenate([first["saturated"], second["saturated"]], 1),
        1e-12,
    )
    assert_close(
        packed["jacobians"][[0, 1, 2, 5]],
        np.concatenate([first["jacobians"], second["jacobians"][1:]]),
        1e-12,
    )
    assert_close(packed["jacobians"][3], np.zeros((3, 3)), 0)


def test_a_length_that_is_none_is_seen_under_jit():
    cell, params = of("elman")
    xs = jnp.ones((4, 2, 2))

    @jax.jit
    def found(lengths):
        norms = analysis.gradient_by_lag(
            cell, params, xs, loss=analysis.last(lambda y, _: y.sum(-1)), lengths=lengths
        )
        return norms, analysis.lyapunov_spectrum(cell, params, xs, k=1, lengths=lengths).exponents

    norms, rates = found(jnp.array([4, 5]))
    assert np.isnan(norms).all()
    assert np.isnan(rates[:, 0]).tolist() == [False, True]
