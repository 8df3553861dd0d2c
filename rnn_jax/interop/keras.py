"""Keras: `SimpleRNN`, `LSTM`, `GRU` of both kinds, `Bidirectional` and `Sequential` of them."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.arguments.settings import short
from rnn_jax.cell import Layer, Params
from rnn_jax.combinators.bidirectional import concatenate
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.interop import reading, writing
from rnn_jax.interop.activation import Activation
from rnn_jax.interop.layout import Array, Layout, Library, Naming, Own, Piece, pieces
from rnn_jax.interop.own import ELMAN, GRU_, LSTM_, RESET_BEFORE_GRU


def average(forward: jax.Array, backward: jax.Array) -> jax.Array:
    """`merge_mode="ave"`: the mean of both directions."""
    return (forward + backward) / 2


ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "elu": jax.nn.elu,
    "softplus": jax.nn.softplus,
}
MERGES: dict[str, reading.Merge] = {
    "concat": concatenate,
    "sum": jnp.add,
    "mul": jnp.multiply,
    "ave": average,
}


def _layout(
    peer: str,
    own: Own,
    gates: str,
    recurrent: tuple[Piece, ...],
    *bias: tuple[Piece, ...],
    **more: Any,
) -> Layout:
    arrays = (
        Array("kernel", (pieces("w_xh", gates),)),
        Array("recurrent_kernel", (recurrent,)),
        Array("bias", bias, optional=True),
    )
    return Layout(peer, own, arrays, **more)


RESET_AFTER, RESET_BEFORE = "GRU", "GRU, reset_after=False"

LIBRARY = Library(
    "Keras",
    (
        _layout("SimpleRNN", ELMAN, "", pieces("w_hh"), pieces("b_h"), activations=ACTIVATIONS),
        _layout("LSTM", LSTM_, "ifgo", pieces("w_hh", "ifgo"), pieces("b_h", "ifgo")),
        _layout(
            RESET_AFTER,
            GRU_,
            "zrn",
            pieces("w_hh", "zrn"),
            # Two rows: at the input, at the state.
            pieces("b_h", "zrn"),
            (*pieces("b_h", "zr"), Piece("b_hn")),
        ),
        _layout(
            RESET_BEFORE,
            RESET_BEFORE_GRU,
            "zrn",
            (*pieces("w_hh", "zr"), Piece("w_hn")),
            pieces("b_h", "zrn"),
        ),
    ),
    Naming("{name}", ("forward_layer/{name}", "backward_layer/{name}"), "layers/{layer}/"),
    merges=tuple(MERGES.values()),
)


def read(source: Any, *, activation: Activation | None = None) -> tuple[Layer, Params]:
    """The layer and the params that a layer or a model of Keras is.

    A `GRU` with `reset_after=False` is a `ResetBeforeGRU`; a `Bidirectional` becomes a
    `bidirectional` of its `merge_mode`, a `Sequential` a `stack`. What is emitted here is every
    step, whatever `return_sequences` is there, and time is axis 0.

    Args:
      source: A `SimpleRNN`, `LSTM`, `GRU`, `Bidirectional` that is built, or a `Sequential` of
        these; the path of a `.keras` file with one, which Keras loads; or the arrays by name, as
        `write` makes them.
      activation: That of a `SimpleRNN`, where only its arrays are handed over.

    Raises:
      StructureError, ShapeError, DtypeError: What was handed over is no such layer, or has a
        setting that has no counterpart; the message says which.
      ArgumentError: The activation is missing or said twice, or the file cannot be read.

    >>> import jax, rnn_jax as rnn
    >>> cell = rnn.GRU(3, 5)
    >>> arrays = rnn.interop.keras.write(cell, cell.init(jax.random.key(0)))
    >>> {name: array.shape for name, array in arrays.items()}
    {'kernel': (3, 15), 'recurrent_kernel': (5, 15), 'bias': (2, 15)}
    >>> rnn.interop.keras.read(arrays)[0] == cell
    True
    """
    if isinstance(source, Mapping):
        return reading.read(LIBRARY, source, activation)
    if activation is not None:
        raise ArgumentError("Keras: activation is for arrays alone; a layer says it itself.")
    if isinstance(source, str | os.PathLike):
        return read(_loaded(source))
    kind = type(source).__name__
    if kind == "Sequential":
        return reading.layer_of([read(layer) for layer in source.layers])
    if kind == "Bidirectional":
        if source.merge_mode not in MERGES:
            raise StructureError(
                f"Keras: a Bidirectional of merge_mode={source.merge_mode!r} emits two sequences, "
                "and a layer emits one; hand over its forward_layer and its backward_layer."
            )
        cells = [_cell(source.forward_layer), _cell(source.backward_layer, backward=True)]
        return reading.directed(cells, MERGES[source.merge_mode])
    return _cell(source)


def write(layer: Layer, params: Params) -> dict[str, Any]:
    """The arrays of the Keras layer or model that has the numbers of `layer`, in Keras' order.

    `model.set_weights([*arrays.values()])` takes them. An `Elman` is a `SimpleRNN` of its
    activation, a `ResetBeforeGRU` a `GRU(reset_after=False)`, a `stack` a `Sequential`; of a `GRU`
    the bias lies in the row of the input, and that of the state is zero but for the candidate's.
    `read` gives the same params again, to the bit.

    Raises:
      StructureError: Keras has no such layer, or these are no params of it.
    """
    return writing.write(LIBRARY, layer, params)


def _loaded(path: str | os.PathLike[str]) -> Any:
    try:
        import keras
    except ImportError:
        raise ArgumentError(
            f"Keras: to read the file {os.fspath(path)!r} takes the package keras: pip install "
            "keras."
        ) from None
    try:
        return keras.saving.load_model(path)
    except (ValueError, OSError) as error:
        raise ArgumentError(f"Keras: {os.fspath(path)!r} cannot be read: {error}.") from error


def _cell(layer: Any, backward: bool = False) -> tuple[Any, Params]:
    """A layer of one direction, with the settings that its arrays do not show."""
    kind = type(layer).__name__
    if kind not in ("SimpleRNN", "LSTM", "GRU") or not hasattr(layer, "weights"):
        raise StructureError(
            "Keras: read needs a SimpleRNN, LSTM, GRU, a Bidirectional, a Sequential of these, the "
            f"path of a .keras file, or arrays by name, got {short(layer)}."
        )
    settings = layer.get_config()
    for name in ("dropout", "recurrent_dropout"):
        if settings[name]:
            raise StructureError(
                f"Keras: {kind} has {name}={settings[name]}, which would be lost; read its arrays, "
                "dict(kernel=..., recurrent_kernel=..., bias=...), and put rnn_jax.Dropout or "
                "rnn_jax.variational around it."
            )
    if bool(settings["go_backwards"]) != backward:
        raise StructureError(
            f"Keras: {kind} has go_backwards={settings['go_backwards']}; here that is said "
            "where a layer is run, by unroll(..., reverse=True). Read its arrays alone."
        )
    activation = None
    if kind == "SimpleRNN":
        activation = ACTIVATIONS.get(settings["activation"])
        if activation is None:
            _refuse(kind, "activation", " or ".join(ACTIVATIONS), settings["activation"])
    else:
        for name, wanted in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
            if settings[name] != wanted:
                _refuse(kind, name, wanted, settings[name])
    if not layer.built:
        raise StructureError(f"Keras: {kind} has no weights yet; call it, or layer.build(shape).")
    peer = RESET_BEFORE if kind == "GRU" and not settings["reset_after"] else kind
    import keras

    arrays = {weight.name: keras.ops.convert_to_numpy(weight) for weight in layer.trainable_weights}
    return reading.cell(LIBRARY, arrays, activation, peer)


def _refuse(kind: str, name: str, wanted: str, found: Any) -> None:
    raise StructureError(
        f"Keras: {kind} with another {name} than {wanted} has no counterpart, got {short(found)}."
    )


__all__ = ["read", "write"]
