"""However much is saved from the trim, memory holds a page of it and what the handler's buffer takes."""

from collections.abc import Sequence
from typing import Any

import pytest

from tailrace import Unavailable
from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.deadletters.core.evacuated import Evacuation
from tailrace.runtime import evacuation
from tailrace.runtime.evacuation import PAGE
from tailrace.streams.record import ChangeRecord
from tailrace.testing.world import World

KEYS = 3_000


def test_memory_stays_flat_and_order_is_kept_whatever_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    app, away, handled = App("shop"), [True], list[tuple[str, int]]()
    orders = app.table("orders", pk="id")
    pages: list[int] = []
    right = evacuation.copied

    def counted(before: Evacuation, after: int, records: Sequence[ChangeRecord], **rest: Any) -> object:
        pages.append(len(records))
        return right(before, after, records, **rest)

    monkeypatch.setattr(evacuation, "copied", counted)

    @app.on(orders, id="note")
    def note(change: Change) -> None:
        if away[0]:
            raise Unavailable
        handled.append((str(change.keys["id"]), int(change.new["n"])))  # type: ignore[index]

    with World(app, seed=1) as world:
        for number in range(2):
            for key in range(KEYS):
                world.put("orders", {"id": f"o{key}", "n": number})
        world.advance("23h")
        assert sum(pages) == 2 * KEYS
        assert max(pages) <= PAGE
        most = 0
        (running,) = world._running
        for _ in range(3):
            world.restart()
            (running,) = world._running
            world.advance("1m")
            most = max(most, *(status.unsettled for status in running.worker.status()))
        (handler,) = app.mappings
        assert most <= handler.settings.capacity
        away[0] = False
        world.settle()
        assert len(handled) == 2 * KEYS
        seen: dict[str, int] = {}
        for key, number in handled:
            assert seen.get(key, -1) == number - 1
            seen[key] = number
        assert not world.gaps()
