"""A view is asked without a loop, and one that waits is refused."""

import asyncio

import pytest

from tailrace.errors import InternalError, StoreError
from tailrace.views.at_once import at_once


def test_a_view_that_gives_the_loop_back_comes_to_its_end() -> None:
    async def view() -> int:
        for _ in range(3):
            await asyncio.sleep(0)
        return 7

    assert at_once(view()) == 7


def test_what_a_view_raises_is_raised() -> None:
    async def view() -> int:
        await asyncio.sleep(0)
        raise StoreError("away")

    with pytest.raises(StoreError, match="away"):
        at_once(view())


def test_a_view_that_waits_is_refused_and_ended() -> None:
    loop, is_ended = asyncio.new_event_loop(), False

    async def view() -> None:
        nonlocal is_ended
        try:
            await loop.create_future()
        finally:
            is_ended = True

    with pytest.raises(InternalError, match="waits"):
        at_once(view())
    assert is_ended
    loop.close()
