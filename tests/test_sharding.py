"""A batch split over devices, each of which computes its own rows: the numbers of one device.

Four devices, so processes of their own; what they run is in four_devices.py.
"""

import os
import subprocess
import sys

import pytest

every_way = pytest.mark.parametrize("way", ["committed", "in_shardings", "explicit", "mapped"])


def on_four_devices(what, *ways):
    command = [sys.executable, "-m", "tests.four_devices", what, *ways]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    env = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-4000:]


def test_each_device_computes_its_own_rows_and_sums_gradients():
    on_four_devices("laws", "committed", "in_shardings", "explicit", "mapped")


def test_every_mechanism_has_the_numbers_of_one_device():
    on_four_devices("everything", "explicit")


@pytest.mark.slow
def test_derivatives_of_other_modes_and_split_params_are_those_of_one_device():
    on_four_devices("transformed", "explicit")


@pytest.mark.slow
def test_every_mechanism_and_mode_has_the_numbers_of_one_device_in_every_way():
    for what in ("everything", "transformed"):
        on_four_devices(what, "committed", "in_shardings", "mapped")


@pytest.mark.slow
@every_way
def test_every_cell_has_the_numbers_of_one_device(way):
    on_four_devices("table", way)
