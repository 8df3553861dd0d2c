"""Dynamic evaluation: a network that goes on learning from what it has just predicted."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax.arguments.arrays import taken, taken_tree
from rnn_jax.arguments.settings import Of, positive
from rnn_jax.cell import Layer, Method, Params
from rnn_jax.checks import check_input, check_params
from rnn_jax.errors import ArgumentError, ShapeError
from rnn_jax.losses.loss import Loss
from rnn_jax.methods.bptt import BPTT
from rnn_jax.training.truncated_bptt import check_parts, truncated_bptt


class DynamicEvaluation(NamedTuple):
    """What `dynamic_evaluation` has found."""

    loss: float
    """Mean over all steps and sequences, each before anything was learned from it."""
    params: Params
    """Those that the last window has left."""


def dynamic_evaluation(
    layer: Layer,
    params: Params,
    xs: Any,
    targets: Any,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    window: int = 35,
    method: Method = BPTT(),
) -> DynamicEvaluation:
    """Read a stream once, window by window: each is predicted, and then learned from.

    The loss of a step is that of params which have seen the windows before its own, and nothing
    later, so it compares with that of an evaluation by `params` alone. The carry passes from window
    to window, the gradient does not. The last window may be shorter.

    Cost: a training step of `window` steps for each window of the stream. One program is compiled
    a call, and the stream is read from the host, piece by piece; not to be put under `jit`.

    Sources: Mikolov et al., Recurrent neural network based language model, Interspeech 2010; Krause
    et al., Dynamic evaluation of neural sequence models, ICML 2018.

    Args:
      layer: What is evaluated, without noise.
      params: Where it starts; they stay what they are.
      xs: `(T, *batch, ...)`, one or more sequences in parallel, T at least 1.
      targets: What the loss compares with, an array or a pytree of arrays with T steps.
      loss: `(ys, targets) -> (T, *batch)`, the loss of each step.
      optimizer: Any optax transformation, such as `optax.sgd(0.1)`. From a single stream some
        gradients are long: `optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))`.
      window: How many steps are predicted by the same params.
      method: How to go through time.

    Raises:
      ArgumentError: The layer is noisy, or what is no loss, no optimiser or no window.
      ShapeError: A stream without steps, or targets of another number of steps.
      StructureError, DtypeError: As `unroll`.

    >>> import jax, jax.numpy as jnp, optax, rnn_jax as rnn
    >>> model = rnn.stack(rnn.Elman(1, 8), rnn.Dense(8, 1))
    >>> params = model.init(jax.random.key(0))
    >>> squares = lambda ys, targets: jnp.square(ys - targets).sum(-1)
    >>> stream = jnp.sin(jnp.arange(801) / 5).reshape(-1, 1)
    >>> _, ys = rnn.unroll(model, params, stream[:-1])
    >>> static = squares(ys, stream[1:]).mean()
    >>> found = rnn.training.dynamic_evaluation(
    ...     model, params, stream[:-1], stream[1:], squares, optax.sgd(0.1), window=10
    ... )
    >>> bool(found.loss < 0.2 * static)
    True
    """
    check_parts("dynamic_evaluation", layer, loss, optimizer)
    if layer.deterministic() != layer:
        raise ArgumentError(
            f"dynamic_evaluation: {layer!r} is random, and what is evaluated must not be; pass "
            "layer.deterministic(), which takes the same params."
        )
    window = positive("dynamic_evaluation: window", window)
    params, xs = taken_tree(layer, "params", params), taken(Of(layer, "xs"), xs)
    batch_shape = check_input(layer, "xs", xs, check_params(layer, params, xs), axes=1)
    targets = taken_tree(layer, "targets", targets)
    length = _checked_length(xs, batch_shape, targets)
    trainer = truncated_bptt(layer, loss, optimizer, window=window, method=method)
    update = jax.jit(trainer.update, donate_argnums=0)
    state = trainer.init(jax.tree.map(jnp.array, params), batch_shape)
    stream = jax.tree.map(np.asarray, (xs, targets))
    total = 0.0
    for start in range(0, length, window):
        steps = min(window, length - start)

        # One length for all windows, so that one program does.
        def piece(leaf: np.ndarray, start: int = start, steps: int = steps) -> np.ndarray:
            gap = [(0, window - steps), *[(0, 0)] * (leaf.ndim - 1)]
            return np.pad(leaf[start : start + window], gap)

        happens = np.arange(window).reshape(-1, *[1] * len(batch_shape)) < steps
        mask = np.broadcast_to(happens, (window, *batch_shape))
        state, metrics = update(state, *jax.tree.map(piece, stream), mask=mask)
        total += float(metrics.loss) * steps
    return DynamicEvaluation(total / length, state.params)


def _checked_length(xs: Any, batch_shape: tuple[int, ...], targets: Any) -> int:
    """How many steps the stream has."""
    length = len(xs)
    if length == 0 or 0 in batch_shape:
        raise ShapeError(
            f"dynamic_evaluation: xs must have at least one step and one sequence, got shape "
            f"{tuple(xs.shape)}."
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(targets):
        if np.shape(leaf)[:1] != (length,):
            raise ShapeError(
                f"dynamic_evaluation: targets{jax.tree_util.keystr(path)} must have the {length} "
                f"steps of xs on axis 0, got shape {np.shape(leaf)}."
            )
    return length
