"""Who works on a run: how many devices and processes, as the command line says it."""

from __future__ import annotations

import dataclasses
from typing import Any

from rnn_jax.language.errors import InputError

FROM_CLUSTER = "auto"
"""A coordinator whose address SLURM, MPI, Kubernetes or a TPU pod tells to each process."""
AXES = ("data", "model")
"""What a mesh may split: the streams of a batch, and the units of the layers."""


@dataclasses.dataclass(frozen=True)
class Workers:
    """What is no setting of a run: with others it is the same run, sooner or later done.

    Raises:
        InputError: options that are no numbers, or do not go together.
    """

    devices: int | None = None
    """Over how many devices to split the streams of a batch."""
    parts: str | None = None
    """Or a mesh of them: `data=4,model=2`."""
    coordinator: str | None = None
    """HOST:PORT of the first process, `FROM_CLUSTER`, or None: one process alone."""
    processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        self._check_processes()
        _ = self.mesh

    @property
    def mesh(self) -> dict[str, int] | None:
        """How many parts each axis has; None where it was not said."""
        if self.devices is not None and self.parts is not None:
            raise InputError("--devices N is short for --mesh data=N; leave one out")
        if self.devices is not None:
            if self.devices < 1:
                raise InputError(f"--devices must be at least 1, got {self.devices}")
            return {"data": self.devices, "model": 1}
        if self.parts is None:
            return None
        found: dict[str, int] = {}
        for part in self.parts.split(","):
            name, _, size = part.strip().partition("=")
            known = name in AXES and name not in found
            if not (known and size.isascii() and size.isdecimal() and 0 < int(size) < 2**20):
                raise InputError(
                    "--mesh must say how many parts an axis has, as in data=4,model=2; got "
                    f"{self.parts}"
                )
            found[name] = int(size)
        return {name: found.get(name, 1) for name in AXES}

    def _check_processes(self) -> None:
        numbers: dict[str, Any] = {
            "--processes": self.processes,
            "--process-id": self.process_id,
        }
        given = [name for name, value in numbers.items() if value is not None]
        if self.coordinator is None or self.coordinator == FROM_CLUSTER:
            if given:
                raise InputError(
                    f"{' and '.join(given)} must come with --coordinator HOST:PORT, the address "
                    "of the first process"
                )
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal()):
            raise InputError(
                f"--coordinator must be HOST:PORT or {FROM_CLUSTER}, got {self.coordinator}"
            )
        if self.processes is None or self.process_id is None:
            raise InputError(
                f"--coordinator {self.coordinator} needs --processes, how many there are, and "
                "--process-id, which of them this is, from 0"
            )
        if not 0 <= self.process_id < self.processes:
            raise InputError(
                f"--process-id must be from 0 to one less than --processes ({self.processes}), "
                f"got {self.process_id}"
            )
