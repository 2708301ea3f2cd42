"""An order holds nothing that could be anything but an extension, a number and an id, whoever makes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.origination import Origination

GOOD = Origination(enterprise="0367", extension="101", number="+375290000001", channel_id="click-0a")


@pytest.mark.parametrize("extension", ["", "1", "1234567", "10\n1", "101\r\nAction: Command", "١٠١", "101 ", "+101", "s"])
def test_an_extension_is_two_to_six_digits(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        replace(GOOD, extension=extension)


@pytest.mark.parametrize("number", ["", "103", "+", "++375290000001", "1234567890123456", "80291234567\n", "8029&x=1", "*62"])
def test_a_number_is_digits_with_a_plus_at_most(number: str) -> None:
    with pytest.raises(ValueError, match="number"):
        replace(GOOD, number=number)


@pytest.mark.parametrize("channel_id", ["", "click/1", "click 1", "Click", "x" * 41, "click-1\n"])
def test_a_channel_id_is_safe_everywhere(channel_id: str) -> None:
    with pytest.raises(ValueError, match="channel_id"):
        replace(GOOD, channel_id=channel_id)


@pytest.mark.parametrize("number", ["80291234567", "+375290000001", "12345"])
def test_what_can_be_dialled_is_an_order(number: str) -> None:
    assert replace(GOOD, number=number).number == number
