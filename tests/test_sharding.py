"""A batch split over devices, or time: the numbers of one device.

Several devices, so processes of their own; what they run is in four_devices.py for the batch, where
each device computes its own rows, and in time_over_devices.py for time.
"""

import pytest

from tests.devices import on_devices


def test_each_device_computes_its_own_rows_and_sums_gradients():
    ways = "committed", "in_shardings", "explicit", "mapped"
    on_devices(4, "four_devices", "laws", *ways)


@pytest.mark.slow
def test_every_mechanism_has_the_numbers_of_one_device():
    on_devices(4, "four_devices", "everything", "explicit")


def test_of_time_over_devices_only_what_chunks_make_of_a_carry_travels():
    on_devices(8, "time_over_devices", "travels")


@pytest.mark.slow
def test_time_over_devices_has_the_numbers_of_one_device():
    on_devices(8, "time_over_devices", "everything", "table")


@pytest.mark.slow
def test_derivatives_of_other_modes_and_split_params_are_those_of_one_device():
    on_devices(4, "four_devices", "transformed", "explicit")


@pytest.mark.slow
def test_a_memory_is_split_as_the_batch_is():
    ways = "committed", "in_shardings", "explicit", "mapped"
    on_devices(4, "four_devices", "attending", *ways)


@pytest.mark.slow
def test_every_mechanism_and_mode_has_the_numbers_of_one_device_in_every_way():
    for what in ("everything", "transformed"):
        on_devices(4, "four_devices", what, "committed", "in_shardings", "mapped")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["scan", "bptt"])
def test_every_cell_has_the_numbers_of_one_device(method):
    on_devices(4, "four_devices", "table", method)
