"""What the library raises for a mistake: what, where, what was expected, what came, what to do."""


class RNNError(Exception):
    """Base of every error that rnn_jax raises on purpose."""


class ArgumentError(RNNError, ValueError):
    """A setting that makes no sense, such as a negative window."""


class ShapeError(RNNError, ValueError):
    """An array of another shape than the cell needs."""


class DtypeError(RNNError, TypeError):
    """An array of another dtype than the cell needs."""


class StructureError(RNNError, TypeError):
    """Params or a carry that belong to another cell."""
