"""The contract: what a layer is, what a cell is, and how a cell's step splits for BPTT."""

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnn_jax.arguments.arrays import one_key
from rnn_jax.arguments.settings import axes, floating, positive, settle
from rnn_jax.arguments.trees import difference, form
from rnn_jax.devices.sharding import on_each_part, parts_of_time
from rnn_jax.errors import ArgumentError, StructureError
from rnn_jax.process.pickling import reduced
from rnn_jax.recurrence.padding import padded
from rnn_jax.recurrence.recurrence import Carry, Method, Params, Recurrence, TimeSplit
from rnn_jax.recurrence.steps import Steps


class Input(NamedTuple):
    """What a layer reads at one step: the trailing axes and `jnp.floating` or `jnp.integer`."""

    shape: tuple[int, ...]
    kind: Any


class Layer(abc.ABC):
    """A sequence in, a sequence out.

    A layer is a value: a frozen dataclass of static settings, hashable and comparable, so that
    a rebuilt equal layer never retraces. Its arrays live in `params`, its memory in `carry`.

    What `init` and `initial_carry` are given is looked at before a layer's own run.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Put the same look at the arguments in front of every layer's own."""
        super().__init_subclass__(**options)
        for name, look in (("init", _checked_init), ("initial_carry", _checked_initial_carry)):
            own = cls.__dict__.get(name)
            if own is not None and not getattr(own, "__isabstractmethod__", False):
                setattr(cls, name, look(own))
        # Here, for `dataclasses.dataclass` would write one of its own, and lets what is there be.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Layer.__repr__  # type: ignore[method-assign]

    @property
    @abc.abstractmethod
    def input(self) -> Input:
        """What one step reads."""

    @abc.abstractmethod
    def init(self, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        """Draw fresh params, every leaf of `dtype`."""

    @abc.abstractmethod
    def initial_carry(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        """The carry before the first step, in the dtype of `params`."""

    @abc.abstractmethod
    def unroll(
        self, params: Params, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Run over all steps; called by `rnn_jax.unroll`, which has checked the arguments.

        Where no step happens, `xs` holds zeros, and ys must.
        """

    def __repr__(self) -> str:
        """The settings that are not the default, functions by their names."""
        if not dataclasses.is_dataclass(self):
            return object.__repr__(self)
        shown = [
            f"{f.name}={text}"
            for f in dataclasses.fields(self)
            if f.repr and (text := _shown(getattr(self, f.name))) != _shown(f.default)
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __reduce__(self) -> Any:
        """A layer is its settings, in another process as well."""
        return reduced(self) if dataclasses.is_dataclass(self) else super().__reduce__()

    def __copy__(self) -> "Layer":
        """A value needs no copy."""
        return self

    def __deepcopy__(self, memo: Any) -> "Layer":
        """A value needs no copy."""
        return self

    def deterministic(self) -> "Layer":
        """The layer without its noise, for the same params: what evaluation runs."""
        if not dataclasses.is_dataclass(self):
            return self
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        calm = {name: _calm(value) for name, value in settings.items()}
        return self if calm == settings else dataclasses.replace(self, **calm)


def _checked_init(init: Callable[..., Params]) -> Callable[..., Params]:
    @functools.wraps(init)
    def checked(self: Layer, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
        name = type(self).__name__
        key, dtype = one_key(f"{name}.init: key", key), floating(f"{name}.init: dtype", dtype)
        return init(self, key, dtype)

    return checked


def _checked_initial_carry(make: Callable[..., Carry]) -> Callable[..., Carry]:
    @functools.wraps(make)
    def checked(self: Layer, params: Params, batch_shape: tuple[int, ...] = ()) -> Carry:
        batch_shape = axes(f"{type(self).__name__}.initial_carry: batch_shape", batch_shape)
        try:
            return make(self, params, batch_shape)
        except (AttributeError, LookupError, TypeError, ValueError):
            # Not looked at before, for a layer may be given what it made of its params itself.
            expected = jax.eval_shape(lambda: self.init(jax.random.key(0)))
            found = difference(expected, params)
            if found is None:
                raise
            raise StructureError(
                f"{self!r}: initial_carry needs params of the form {form(expected)}, got "
                f"{form(params)}; make them by init(key)."
            ) from None

    return checked


def _shown(setting: Any) -> str:
    if type(setting) is tuple:
        return f"({', '.join(map(_shown, setting))}{',' * (len(setting) == 1)})"
    is_function = callable(setting) and not dataclasses.is_dataclass(setting)
    return getattr(setting, "__name__", repr(setting)) if is_function else repr(setting)


def _calm(setting: Any) -> Any:
    if isinstance(setting, Layer):
        return setting.deterministic()
    return tuple(map(_calm, setting)) if type(setting) is tuple else setting


class Cell(Layer, Recurrence):
    """A layer that can also take one step: three pure functions before, during and after time.

    ========= ============================== ======================= =========================
    when      function                       runs                    law
    ========= ============================== ======================= =========================
    before    `project(params, xs) -> zs`    once, on all steps      `project(p, xs)[t] ==
                                                                     project(p, xs[t])`
    during    `step(params, carry, z)`       inside the loop         never sees x
    after     `readout(params, hs, xs)`      once, on all steps      as for `project`
    ========= ============================== ======================= =========================

    What does not need the past cannot be written inside the loop. To a method a cell is a
    `Recurrence`: of one that says no more than `step`, `recur` is the whole step.
    """

    @abc.abstractmethod
    def step(self, params: Params, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        """One step of the recurrence: `(carry, z) -> (carry, h)`, for any batch axes."""

    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        """The whole step."""
        return Stepped(*self.step(params, carry, z))

    def update(self, carry: Carry, a: Any) -> Carry:
        """Nothing is left to do."""
        del carry
        return a.carry

    def emit(self, carry: Carry, a: Any) -> Any:
        """What the step emitted."""
        del carry
        return a.h

    def draw(self, params: Params, xs: Any, steps: Steps) -> tuple[Params, Any]:
        """Params and inputs with all noise of a run beside them; as they are by default."""
        del steps
        return params, xs

    def readout(self, params: Params, hs: Any, xs: Any) -> jax.Array:
        """What the cell emits, from `hs` and the inputs, for any leading axes; `hs` by default."""
        del params, xs
        return hs

    def unroll(
        self, params: Params, xs: Any, carry: Carry, steps: Steps, method: Method
    ) -> tuple[Carry, jax.Array]:
        """Hand the loop to `method`, then read out all steps at once."""
        axes = xs.ndim - len(self.input.shape)
        method = _over_devices(self, method, parts_of_time(xs))
        params, xs = self.draw(params, xs, steps)
        cell, inside, marked = padded(self, params, xs, steps)
        carry, hs = on_each_part(functools.partial(method, cell), axes, inside, marked, carry)
        return carry, steps.blank(self.readout(params, hs, xs))


def _over_devices(cell: Cell, method: Method, devices: int) -> Method:
    if devices == 1:
        return method
    if not isinstance(method, TimeSplit):
        raise ArgumentError(
            f"{cell!r}: xs is split over {devices} devices along time, and {method!r} takes one "
            "step after the other; Associative() takes cells that are linear in their carry so, "
            "and jax.reshard splits xs anew."
        )
    return method.over_devices(devices)


class Stepped(NamedTuple):
    """What a whole step makes."""

    carry: Carry
    h: jax.Array


class SplitCell(Cell):
    """A cell whose step is weights first, then arithmetic.

    `recur` holds every weight of the loop and returns the preactivations `a`; `update` and `emit`
    are free of params, and pointwise in most cells. From this split `BPTT` takes each weight
    gradient as one matmul over a whole block of steps, and stores nothing but carries.
    """

    @abc.abstractmethod
    def recur(self, params: Params, carry: Carry, z: Any) -> Any:
        """The preactivations `a` of a step, for any leading axes; linear in carry where it can."""

    @abc.abstractmethod
    def update(self, carry: Carry, a: Any) -> Carry:
        """The next carry from the last one and the preactivations: no params."""

    def emit(self, carry: Carry, a: Any) -> Any:
        """The hidden state h: the first array of the carry that the step made, by default."""
        del a
        return jax.tree.leaves(carry)[0]

    @final
    def step(self, params: Params, carry: Carry, z: Any) -> tuple[Carry, jax.Array]:
        """`recur`, then `update`, then `emit`."""
        return Recurrence.step(self, params, carry, z)


@dataclasses.dataclass(frozen=True)
class SizedCell(SplitCell):
    """A split cell that reads `input_size` numbers a step and has `hidden_size` hidden units."""

    input_size: int
    """D."""
    hidden_size: int
    """H."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        settle(self, input_size=positive, hidden_size=positive)

    @property
    def input(self) -> Input:
        """`(D,)` numbers a step."""
        return Input((self.input_size,), jnp.floating)
