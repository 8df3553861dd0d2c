"""Analyses of a cell over a sequence, or around a point."""

import jax.numpy as jnp
import numpy as np

import rnn_jax as rnn
from rnn_jax import analysis
from tests.wrong_calls.given import (
    BOTH_WAYS,
    CELL,
    KEYS,
    LSTM_PARAMS,
    MASKED,
    NOISY,
    NOISY_PARAMS,
    PARAMS,
    XS,
    made,
    outputs,
)

ONE = XS[:, 0]
STARTS = rnn.ElmanCarry(np.zeros((4, 5), jnp.float32))


def exponents(**options):
    return lambda: analysis.lyapunov_spectrum(CELL, PARAMS, ONE, **{"k": 2, **options})


def leading(k=2, **options):
    return lambda: analysis.leading_gradient_spectrum(CELL, PARAMS, ONE, k=k, **options)


def around(x=ONE[0], starts=STARTS, **options):
    return lambda: analysis.fixed_points(CELL, PARAMS, x, starts, **options)


ROWS = {
    "analysis.last: the losses themselves": (
        lambda: analysis.last(XS.sum(-1)),
        rnn.ArgumentError,
        r"last: loss must be a function, got float32 of shape \(7, 2\)",
    ),
    "analysis.last: a mean over the batch": (
        lambda: analysis.omega(CELL, PARAMS, XS, loss=analysis.last(lambda y, _: y.mean())),
        rnn.ShapeError,
        r"omega: loss\(y, targets\) must return one number a sequence, an array of shape \(2,\)",
    ),
    "analysis.step_jacobians: a length beyond the end": (
        lambda: analysis.step_jacobians(CELL, PARAMS, XS, lengths=[7, 8]),
        rnn.ArgumentError,
        r"Elman\(.*lengths\[1\] is 8, but xs has 7 steps",
    ),
    "analysis.newton_report: another method": (
        lambda: analysis.newton_report(CELL, PARAMS, XS, method=rnn.BPTT()),
        rnn.StructureError,
        r"newton_report: method must be a Newton, got BPTT\(",
    ),
    "analysis.lyapunov_spectrum: a sequence that ends while the state warms up": (
        lambda: analysis.lyapunov_spectrum(CELL, PARAMS, XS, lengths=[7, 3], warmup=3),
        rnn.ArgumentError,
        "warmup and warmup_q must leave steps to count, got 3 and 0 of 3 steps",
    ),
    "analysis.gradient_map: a mask of numbers": (
        lambda: analysis.gradient_map(CELL, PARAMS, XS, loss=outputs, mask=XS[..., 0]),
        rnn.DtypeError,
        "mask must be bool, got float32",
    ),
    "analysis.gradient_metrics: no cell": (
        lambda: analysis.gradient_metrics(None, PARAMS, XS, loss=outputs),
        rnn.StructureError,
        "gradient_metrics: the first argument must be a Cell, got None",
    ),
    "analysis.signal_to_noise_by_lag: targets of another batch": (
        lambda: analysis.signal_to_noise_by_lag(
            CELL, PARAMS, XS, loss=analysis.last(lambda y, _: y.sum(-1)), targets=np.ones(3)
        ),
        rnn.ShapeError,
        r"signal_to_noise_by_lag: targets must have the axes of batch, \(2,\), in front, got shape",
    ),
    "analysis.step_jacobians: params first": (
        lambda: analysis.step_jacobians(PARAMS, CELL, XS),
        rnn.StructureError,
        r"step_jacobians: the first argument must be a Cell, got ElmanParams\(w_xh, w_hh, b_h\)",
    ),
    "analysis.step_jacobians: params of another cell": (
        lambda: analysis.step_jacobians(CELL, LSTM_PARAMS, XS),
        rnn.StructureError,
        r"expected params of the form ElmanParams.*got LSTMParams",
    ),
    "analysis.propagator: a layer without a step": (
        lambda: analysis.propagator(BOTH_WAYS, made(BOTH_WAYS), XS),
        rnn.StructureError,
        r"propagator: the first argument must be a Cell, and LayerStack\(.*has no single step",
    ),
    "analysis.propagator: masked inputs": (
        lambda: analysis.propagator(CELL, PARAMS, MASKED),
        rnn.StructureError,
        "xs is a masked array with masked entries",
    ),
    "analysis.gradient_spectrum: noise": (
        lambda: analysis.gradient_spectrum(NOISY, NOISY_PARAMS, XS),
        rnn.ArgumentError,
        r"layers\[1\]\.layer, Dropout.*needs a key.*deterministic\(\)",
    ),
    "analysis.gradient_spectrum: ragged lags": (
        lambda: analysis.gradient_spectrum(CELL, PARAMS, ONE, lags=[[1], [2, 3]]),
        rnn.ArgumentError,
        "gradient_spectrum: lags must be increasing integers from 1 to 7, got",
    ),
    "analysis.leading_gradient_spectrum: more than there are": (
        leading(k=6),
        rnn.ArgumentError,
        "leading_gradient_spectrum: k must be an integer from 1 to 5.*got 6",
    ),
    "analysis.leading_gradient_spectrum: a seed": (
        leading(key=0),
        rnn.StructureError,
        "leading_gradient_spectrum: key must be one key.*got 0",
    ),
    "analysis.leading_gradient_spectrum: a tolerance that is no number": (
        leading(tolerance=float("nan")),
        rnn.ArgumentError,
        "tolerance must be a number of 0 or more, got nan",
    ),
    "analysis.leading_gradient_spectrum: half a vector more": (
        leading(oversample=1.5),
        rnn.ArgumentError,
        "oversample must be an integer of 0 or more, got 1.5",
    ),
    "analysis.lyapunov_spectrum: a warmup of half a step": (
        exponents(warmup=1.5),
        rnn.ArgumentError,
        "lyapunov_spectrum: warmup must be an integer of 0 or more, got 1.5",
    ),
    "analysis.lyapunov_spectrum: nothing left to count": (
        exponents(warmup=3, warmup_q=4),
        rnn.ArgumentError,
        "warmup and warmup_q must leave steps to count, got 3 and 4 of 7 steps",
    ),
    "analysis.adjoint_lyapunov_spectrum: several keys": (
        lambda: analysis.adjoint_lyapunov_spectrum(CELL, PARAMS, ONE, key=KEYS),
        rnn.StructureError,
        r"adjoint_lyapunov_spectrum: key must be one key.*take one of them, keys\[0\]",
    ),
    "analysis.flossing_loss: no exponents": (
        lambda: analysis.flossing_loss(CELL, PARAMS, ONE, k=0),
        rnn.ArgumentError,
        "flossing_loss: k must be an integer from 1 to 5.*got 0",
    ),
    "analysis.saturated_share: a slope in letters": (
        lambda: analysis.saturated_share(CELL, PARAMS, XS, slope="steep"),
        rnn.ArgumentError,
        r"saturated_share: slope must be a number in \[0, 1\], got 'steep'",
    ),
    "analysis.gradient_map: no loss": (
        lambda: analysis.gradient_map(CELL, PARAMS, XS, loss=None),
        rnn.ArgumentError,
        "gradient_map: loss must be a function, got None",
    ),
    "analysis.gradient_map: a loss of two things": (
        lambda: analysis.gradient_map(CELL, PARAMS, XS, loss=lambda ys, _: (ys.sum(-1), 0)),
        rnn.ShapeError,
        r"gradient_map: loss\(ys, targets\) must return.*array of shape \(7, 2\), got a tuple",
    ),
    "analysis.gradient_by_lag: no steps": (
        lambda: analysis.gradient_by_lag(CELL, PARAMS, XS[:0], loss=outputs),
        rnn.ShapeError,
        "gradient_by_lag: xs has no steps",
    ),
    "analysis.gradient_by_lag: a loss that counts": (
        lambda: analysis.gradient_by_lag(CELL, PARAMS, XS, loss=lambda ys, _: ys[..., 0] > 0),
        rnn.DtypeError,
        r"gradient_by_lag: loss\(ys, targets\) must be floating to have a gradient, got bool",
    ),
    "analysis.omega: a loss that is a mean already": (
        lambda: analysis.omega(CELL, PARAMS, XS, loss=lambda ys, _: ys.mean()),
        rnn.ShapeError,
        r"omega: loss\(ys, targets\) must return one number a step.*got float32 of shape \(\)",
    ),
    "analysis.weight_gradient_by_lag: weights by their name": (
        lambda: analysis.weight_gradient_by_lag(CELL, PARAMS, XS, loss=outputs, of="w_hh"),
        rnn.ArgumentError,
        "weight_gradient_by_lag: of must be a function, got 'w_hh'",
    ),
    "analysis.signal_to_noise_by_lag: one sequence": (
        lambda: analysis.signal_to_noise_by_lag(CELL, PARAMS, ONE, loss=outputs),
        rnn.ArgumentError,
        r"there must be two at least; got batch axes \(\)",
    ),
    "analysis.gradient_metrics: one lag without its list": (
        lambda: analysis.gradient_metrics(CELL, PARAMS, XS, loss=outputs, lags=3),
        rnn.ArgumentError,
        "gradient_metrics: lags must be integers from 0 to 6, got 3",
    ),
    "analysis.gradient_metrics: a lag over T": (
        lambda: analysis.gradient_metrics(CELL, PARAMS, XS, loss=outputs, lags=[0, 7]),
        rnn.ArgumentError,
        r"gradient_metrics: lags must be integers from 0 to 6, got \[0, 7\]",
    ),
    "analysis.fixed_points: no starts": (
        around(starts=rnn.ElmanCarry(np.zeros((0, 5), jnp.float32))),
        rnn.ShapeError,
        "fixed_points: starts has none",
    ),
    "analysis.fixed_points: a number for starts": (
        around(starts=3),
        rnn.StructureError,
        r"fixed_points: starts must be carries of Elman\(.*got 3",
    ),
    "analysis.fixed_points: an input in letters": (
        around(x="zeros"),
        rnn.StructureError,
        "x must be an array, got 'zeros'",
    ),
    "analysis.fixed_points: a speed that is none": (
        around(slow=float("nan")),
        rnn.ArgumentError,
        "fixed_points: slow must be a number of 0 or more, got nan",
    ),
    "analysis.flatten_carry: no params": (
        lambda: analysis.flatten_carry(CELL, None, CELL.initial_carry(PARAMS)),
        rnn.StructureError,
        r"initial_carry needs params of the form ElmanParams\(w_xh, w_hh, b_h\), got NoneType",
    ),
    "analysis.unflatten_carry: no params": (
        lambda: analysis.unflatten_carry(CELL, None, np.zeros(5)),
        rnn.StructureError,
        r"initial_carry needs params of the form ElmanParams\(w_xh, w_hh, b_h\), got NoneType",
    ),
}
