"""The devices of a run, and how its arrays are split over them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import rnn_jax as rnn
from rnn_jax.errors import ShapeError
from rnn_jax.language.corpus import Streams
from rnn_jax.language.errors import InputError
from rnn_jax.language.learner import Learner, State
from rnn_jax.language.processes import join
from rnn_jax.language.workers import Workers


def meet(workers: Workers) -> Mesh:
    """Wait for all that work on a run; the mesh of their devices.

    Raises:
        InputError: there are not as many devices, or not all processes would have one.
        RunError: the other processes do not come.
    """
    wanted = workers.mesh
    if wanted is not None and jax.config.jax_num_cpu_devices < 1:  # type: ignore[attr-defined]
        # Other machines have the devices that they have; a CPU has as many as it is told.
        own = -(-math.prod(wanted.values()) // (workers.processes or 1))
        jax.config.update("jax_num_cpu_devices", own)
    join(workers)
    there = jax.device_count()
    if wanted is None:
        wanted = {"data": 1 if jax.process_count() == 1 else there, "model": 1}
    needed = math.prod(wanted.values())
    if needed > there or (jax.process_count() > 1 and needed != there):
        shown = ",".join(f"{name}={size}" for name, size in wanted.items())
        raise InputError(
            f"--mesh {shown} takes {needed} devices, and there are {there} "
            f"({jax.default_backend()}, over {jax.process_count()} processes); name a mesh of as "
            "many"
        )
    found = np.array(jax.devices()[:needed]).reshape(tuple(wanted.values()))
    return Mesh(found, tuple(wanted), axis_types=(AxisType.Auto,) * len(wanted))


class Split:
    """What of a run lies on which device.

    Args:
        learner: the network and how it learns.
        mesh: with the axes data and model.

    Raises:
        InputError: the batch, or the network, does not divide over it.
    """

    def __init__(self, learner: Learner, mesh: Mesh) -> None:
        devices, config = mesh.shape["data"], learner.config
        if config.batch // config.accumulate % devices:
            raise InputError(
                f"--batch {config.batch} does not divide over {devices} devices times --accumulate "
                f"{config.accumulate}; take a multiple of {devices * config.accumulate}"
            )
        self.learner, self.mesh = learner, mesh
        self.whole = NamedSharding(mesh, PartitionSpec())
        self.rows = NamedSharding(mesh, PartitionSpec(None, "data"))
        self.state: Any = self._state()

    def _state(self) -> State:
        """As the params and the carry are placed; of the optimiser, what is like one of the params.

        Its state has arrays of their shapes at places that end as theirs do.
        """
        try:
            placed = rnn.placement(self.learner.model, self.mesh)
        except ShapeError as error:
            raise InputError(f"--mesh does not fit the network: {error}") from error
        params, carry = (
            jax.tree.map(lambda spec: NamedSharding(self.mesh, spec), specs) for specs in placed
        )
        like = self.learner.like()
        shapes = jax.tree.leaves_with_path(like.best)
        where = list(zip(shapes, jax.tree.leaves(params), strict=True))

        def as_params(path: Any, leaf: Any) -> NamedSharding:
            for (end, param), sharding in where:
                if path[-len(end) :] == end and leaf.shape == param.shape:
                    return sharding
            return self.whole

        opt_state = jax.tree.map_with_path(as_params, like.train.opt_state)
        return State(
            like.train._replace(
                params=params, opt_state=opt_state, carry=carry, position=self.whole
            ),
            params,
        )

    def like(self) -> Any:
        """The shapes and dtypes of a state, and where its arrays lie."""
        return jax.tree.map(
            lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at),
            self.learner.like(),
            self.state,
        )

    def start(self, biases: np.ndarray | None, table: np.ndarray | None) -> State:
        """The state before the first update, as `Learner.start`."""
        return self.learner.start(biases, table, self.state)

    def update(self) -> Callable[..., tuple[rnn.TrainState, rnn.Metrics]]:
        """`Learner.update`, compiled for the mesh; the old state is given away.

        So that an update needs no second copy of the params.
        """
        return jax.jit(
            self.learner.update,
            in_shardings=(self.state.train, self.rows, self.rows, self.whole),
            out_shardings=(self.state.train, self.whole),
            donate_argnums=0,
        )

    def window(self, streams: Streams, start: int, steps: int) -> tuple[Any, Any]:
        """(inputs, targets) of a window, of which each process reads the rows of its devices."""
        if jax.process_count() == 1:
            return streams.window(start, steps)
        shape = (steps, self.learner.config.batch)

        def side(which: int) -> jax.Array:
            def part(index: Any) -> np.ndarray:
                return streams.window(start, steps, index[1])[which]

            return jax.make_array_from_callback(shape, self.rows, part)

        return side(0), side(1)

    def here(self, params: rnn.Params) -> rnn.Params:
        """Params for this process to read with: on its first device, where each has all of them."""
        if self.mesh.size == 1 or self.mesh.shape["model"] > 1:
            return params
        return jax.tree.map(lambda x: x.addressable_data(0), params)

    def whole_here(self, params: rnn.Params) -> rnn.Params:
        """Params for this process alone, whole."""
        if self.mesh.size == 1:
            return params
        whole = jax.jit(lambda x: x, out_shardings=self.whole)(params)
        return jax.tree.map(lambda x: x.addressable_data(0), whole)
