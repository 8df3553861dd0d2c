"""Truncated backpropagation through time, with the optimiser from optax."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnn_jax.arguments.settings import function, positive, short
from rnn_jax.cell import Carry, Layer, Method, Params
from rnn_jax.checks import check_carry, check_input, check_key, check_layer, check_params
from rnn_jax.errors import ArgumentError, ShapeError, StructureError
from rnn_jax.losses.loss import Loss
from rnn_jax.methods.bptt import BPTT
from rnn_jax.recurrence.steps import select
from rnn_jax.training.accumulation import accumulate
from rnn_jax.unroll import unroll


class TrainState(NamedTuple):
    """What training keeps from window to window."""

    params: Params
    """The params of the layer."""
    opt_state: optax.OptState
    """The state of the optimiser."""
    carry: Carry
    """The carry before the next window; the first window of a stream starts afresh."""
    position: jax.Array
    """How many windows of this stream came before, an int32."""


class Metrics(NamedTuple):
    """What an update returns beside the state."""

    loss: jax.Array
    """Mean over the steps that the window counts: those that are new and happen."""
    grad_norm: jax.Array
    """Global norm of the gradient, as it came, before the optimiser clips it."""


class TruncatedBPTT(NamedTuple):
    """Three pure functions, made by `truncated_bptt`."""

    init: Callable[[Params, tuple[int, ...]], TrainState]
    """`(params, batch_shape) -> TrainState`, at the start of a stream."""
    update: Callable[..., tuple[TrainState, Metrics]]
    """`(state, xs, targets, *, mask=None, reset=None, key=None, number=None) -> (state, metrics)`:
    one window, with gaps and beginnings as in `unroll`, and the noise of window `number` of all
    that share `key`, `state.position` if None; yours to jit."""
    restart: Callable[..., TrainState]
    """`(state, batch_shape=None) -> state` before the first window of another stream, of another
    batch if you say so; params and optimiser stay."""


def truncated_bptt(
    layer: Layer,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    window: int = 35,
    stride: int | None = None,
    method: Method = BPTT(),
    parts: int = 1,
) -> TruncatedBPTT:
    """Train on an endless stream in windows: the carry passes from one to the next, no gradient.

    Every `stride` (k1) steps one update with the gradient through the last `window` (k2) steps.
    `dL_t/dw` is the double sum of BPTT with the terms older than the window left out. With
    `stride == window`, the usual, windows are disjoint and all their steps count. With a shorter
    stride windows overlap, each starts from the carry `window - stride` steps back, and after
    the first window only the newest `stride` steps count, so that each step counts once.

    One key does for a stream: window n draws its noise from `fold_in(key, n)`, and so a run that
    goes on from a stored state draws what it would have drawn. Where streams share a key, `number`
    says which of all their windows it is. A sequence whose carry is not finite after a window
    starts afresh in the next: under `optax.apply_if_finite` a bad window costs no more than itself.

    Clip by `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))`. Cost of an update:
    one training step of `window` steps; memory does not depend on the stream's length. Source:
    Williams & Peng, Neural Computation 2, 1990 (BPTT(h; h')); Sutskever, thesis, 2013 (k1, k2).

    Args:
      layer: What is trained.
      loss: `(ys, targets) -> (T, *batch)`, the loss of each step.
      optimizer: Any optax transformation. One that asks for `value`, `grad` or `value_fn`, such
        as `optax.lbfgs()`, is given those of the window's mean loss.
      window: k2, how many steps the gradient goes back.
      stride: k1, how many steps apart the updates are; `window` if None.
      method: How to go through time.
      parts: Go through the batch, its first axis, in so many equal parts, one after the other, for
        a batch that does not fit: one update from the mean of their gradients, as `accumulate`.
        Targets then have the batch at axis 1, too. Each part draws noise of its own.

    Raises:
      ArgumentError: window, stride or parts not positive, the stride longer than the window, or
        what is no layer, loss or optimiser. `update` raises `ShapeError` for a batch of another
        shape than the state's, of no sequences, or that does not divide into the parts.

    >>> import jax, jax.numpy as jnp, optax, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Elman(1, 8), rnn.Dense(8, 1))
    >>> optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    >>> squares = lambda ys, targets: jnp.square(ys - targets).sum(-1)
    >>> trainer = rnn.truncated_bptt(model, squares, optimizer, window=25)
    >>> update = jax.jit(trainer.update)
    >>> stream = jnp.sin(jnp.arange(2001) / 5).reshape(-1, 1, 1)
    >>> state = trainer.init(model.init(jax.random.key(0)), batch_shape=(1,))
    >>> for xs, targets in zip(rnn.windows(stream[:-1], 25), rnn.windows(stream[1:], 25)):
    ...     state, metrics = update(state, xs, targets)
    >>> bool(metrics.loss < 0.05)
    True
    """
    window, stride = _check_sizes(window, stride)
    parts = positive("truncated_bptt: parts", parts)
    check_parts("truncated_bptt", layer, loss, optimizer)
    optimizer = optax.with_extra_args_support(optimizer)

    def init(params: Params, batch_shape: tuple[int, ...] = ()) -> TrainState:
        check_params(layer, params, None)
        carry = layer.initial_carry(params, batch_shape)
        opt_state = _apart(optimizer.init(params), params)
        return TrainState(params, opt_state, carry, jnp.zeros((), jnp.int32))

    def update(
        state: TrainState,
        xs: Any,
        targets: Any,
        *,
        mask: jax.Array | None = None,
        reset: jax.Array | None = None,
        key: jax.Array | None = None,
        number: Any = None,
    ) -> tuple[TrainState, Metrics]:
        batch_shape = _check_window(layer, state, xs, window)
        _check_parts(parts, batch_shape)
        fresh = state.position == 0
        if key is not None:
            check_key(layer, key)
            key = jax.random.fold_in(key, state.position if number is None else number)
            key = key[None] if parts == 1 else jax.random.split(key, parts)

        def new(losses_shape: tuple[int, ...], mask: jax.Array | None) -> jax.Array:
            """Which losses count, `(window, *batch)`: those of steps that are new and happen."""
            steps = fresh | (jnp.arange(window) >= window - stride)
            steps = steps.reshape(window, *[1] * (len(losses_shape) - 1))
            return jnp.broadcast_to(steps if mask is None else steps & mask, losses_shape)

        def mean_loss(
            params: Params,
            kept: Carry,
            xs: Any,
            targets: Any,
            mask: jax.Array | None,
            reset: jax.Array | None,
            key: jax.Array | None,
        ) -> tuple[jax.Array, Carry]:
            rows = xs.shape[1 : 1 + len(batch_shape)]
            # Chosen here, so that the gradient reaches an initial carry that is learned.
            carry = select(
                fresh | ~_finite(kept, rows),
                _like(kept, layer.initial_carry(params, rows)),
                kept,
            )

            def part(start: int, end: int, carry: Carry) -> tuple[Carry, jax.Array]:
                gaps, beginnings = (None if m is None else m[start:end] for m in (mask, reset))
                return unroll(
                    layer,
                    params,
                    xs[start:end],
                    carry,
                    mask=gaps,
                    reset=beginnings,
                    key=None if key is None else key[0],
                    t=start,
                    method=method,
                )

            carry, ys = part(0, stride, carry)
            if stride < window:
                _, rest = part(stride, window, carry)
                ys = jnp.concatenate([ys, rest])
            losses = loss(ys, targets)
            _check_losses(losses, window)
            if stride == window and mask is None:
                return jnp.mean(losses), carry
            counts = new(losses.shape, mask)
            # A window in which nothing happens has a loss of 0, not 0/0.
            total = jnp.maximum(1, jnp.sum(counts)).astype(losses.dtype)
            return jnp.sum(losses, where=counts) / total, carry

        def counted(_: Params, kept: Carry, xs: Any, targets: Any, mask: Any, *others: Any) -> Any:
            del kept, targets, others
            return jnp.sum(new(xs.shape[: 1 + len(batch_shape)], mask))

        data = (state.carry, xs, targets, mask, reset, key)
        in_axes = (None, 0, 1, 1, 1, 1, 0)
        of_loss = accumulate(mean_loss, parts, in_axes, (None, 0), count=counted)
        in_parts = accumulate(
            jax.value_and_grad(mean_loss, has_aux=True),
            parts,
            in_axes,
            ((None, 0), None),
            count=counted,
        )
        (value, carry), grads = in_parts(state.params, *data)
        updates, opt_state = optimizer.update(
            grads,
            state.opt_state,
            state.params,
            value=value,
            grad=grads,
            value_fn=lambda params: of_loss(params, *data)[0],
        )
        params = optax.apply_updates(state.params, updates)
        metrics = Metrics(value, optax.tree.norm(grads))
        return TrainState(params, opt_state, carry, state.position + 1), metrics

    def restart(state: TrainState, batch_shape: tuple[int, ...] | None = None) -> TrainState:
        carry = state.carry
        if batch_shape is not None:
            carry = _like(carry, layer.initial_carry(state.params, batch_shape))
        return state._replace(carry=carry, position=jnp.zeros_like(state.position))

    return TruncatedBPTT(init, update, restart)


def windows(stream: jax.Array, window: int, stride: int | None = None) -> Iterator[jax.Array]:
    """The windows of a stream `(T, ...)`, each `(window, ...)`, `stride` steps apart.

    Only whole windows come, so that one compiled step does for all of them; up to
    `stride - 1` steps at the end of the stream are left out.

    Raises:
      ArgumentError: window or stride not positive, the stride longer than the window, or the
        stream shorter than one window.
      StructureError: The stream is no array.

    >>> import jax.numpy as jnp, rnn_jax as rnn
    >>> [w.tolist() for w in rnn.windows(jnp.arange(7), 3)]
    [[0, 1, 2], [3, 4, 5]]
    >>> [w.tolist() for w in rnn.windows(jnp.arange(5), 3, stride=1)]
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    """
    window, stride = _check_sizes(window, stride)
    if not hasattr(stream, "__len__") or isinstance(stream, str):
        raise StructureError(
            f"windows: the stream must be an array (T, ...), got {short(stream)}; stack its steps."
        )
    if len(stream) < window:
        raise ArgumentError(
            f"windows: the stream has {len(stream)} steps, fewer than one window of {window}."
        )
    starts = range(0, len(stream) - window + 1, stride)
    return (stream[start : start + window] for start in starts)


def _check_sizes(window: Any, stride: Any) -> tuple[int, int]:
    window = positive("window", window)
    stride = window if stride is None else positive("stride", stride)
    if stride > window:
        raise ArgumentError(
            f"stride (k1) must not exceed window (k2), or steps would be skipped; got stride "
            f"{stride} and window {window}."
        )
    return window, stride


def _like(carry: Carry, start: Carry) -> Carry:
    """`start` in the dtypes of `carry`."""
    return jax.tree.map(lambda c, s: s.astype(c.dtype), carry, start)


def _finite(carry: Carry, batch_shape: tuple[int, ...]) -> jax.Array:
    """Which sequences have a finite carry, `(*batch)`."""
    finite = jnp.ones(batch_shape, bool)
    for c in jax.tree.leaves(carry):
        finite &= jnp.isfinite(c).all(axis=tuple(range(len(batch_shape), c.ndim)))
    return finite


def _apart(opt_state: optax.OptState, params: Params) -> optax.OptState:
    """The state with a copy of each array that is a param or occurs twice, to be donated."""
    seen = set(map(id, jax.tree.leaves(params)))

    def own(x: Any) -> Any:
        if id(x) in seen:
            return jnp.copy(x)
        seen.add(id(x))
        return x

    return jax.tree.map(own, opt_state)


def check_parts(caller: str, layer: Any, loss: Any, optimizer: Any) -> None:
    """Raise where `caller` is given what is no layer, no loss or no optimiser."""
    check_layer(caller, layer)
    function(f"{caller}: loss", loss)
    if not isinstance(optimizer, optax.GradientTransformation):
        raise ArgumentError(
            f"{caller}: optimizer must be a transformation of optax, such as "
            f"optax.adam(1e-3), got {short(optimizer)}."
        )


def _check_window(layer: Layer, state: Any, xs: Any, window: int) -> tuple[int, ...]:
    """The batch axes of a window."""
    if not isinstance(state, TrainState):
        raise StructureError(
            f"truncated_bptt: state must be a TrainState, which init makes and update returns, "
            f"got {type(state).__name__}."
        )
    dtype = check_params(layer, state.params, xs)
    batch_shape = check_input(layer, "xs", xs, dtype, axes=1)
    if len(xs) != window:
        raise ShapeError(
            f"truncated_bptt: xs must have shape ({window}, *batch, ...), one window, got "
            f"{tuple(xs.shape)}; rnn_jax.windows cuts a stream into windows."
        )
    if 0 in batch_shape:
        raise ShapeError(
            f"truncated_bptt: xs has a batch of shape {batch_shape}, without any sequence, and the "
            "mean of no losses is no number; leave out such an update."
        )
    try:
        check_carry(layer, state.params, state.carry, batch_shape, dtype)
    except ShapeError as error:
        raise ShapeError(
            f"truncated_bptt: state does not fit xs, which has a batch of shape {batch_shape}: "
            f"{error} A stream keeps its batch; restart(state, {batch_shape}) begins another."
        ) from None
    return batch_shape


def _check_parts(parts: int, batch_shape: tuple[int, ...]) -> None:
    if parts > 1 and (not batch_shape or batch_shape[0] % parts):
        raise ShapeError(
            f"truncated_bptt: xs has a batch of shape {batch_shape}, which does not divide into "
            f"{parts} parts; take a multiple of {parts}, or other parts."
        )


def _check_losses(losses: jax.Array, window: int) -> None:
    if losses.shape[:1] != (window,):
        raise ShapeError(
            f"truncated_bptt: loss(ys, targets) must return one number a step, "
            f"({window}, *batch), got shape {losses.shape}; do not take its mean."
        )
