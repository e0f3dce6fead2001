"""Which dead letters a test looked at: another one is a failure that a green test would hide.

Rules of this file: looking means asking the world, or the app, about a handler's dead letters; what is given
up after that is news again. It decides and says so; world.py asks, and plugin.py for the fixture.
"""

from collections.abc import Iterable
from typing import Final

from tailrace.app.app import App, HandlerMapping
from tailrace.app.change import Change
from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.views.letters import letters
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.views.at_once import at_once, listed

MOST: Final = 10
"""So many are named."""


class NotLookedAt(AssertionError):
    """Handlers gave up on changes, and the test neither looked at that nor allowed it."""


class Looking:
    """What the test knows of failures. Shape: `allowed` are the handlers that may fail; None: all."""

    def __init__(self, *, allows_all: bool = False) -> None:
        self._allows_all = allows_all
        self._allowed: set[str] = set()
        self._seen: set[tuple[str, int]] = set()

    def again(self) -> "Looking":
        """For another way that the world goes from here: what was looked at is known there too."""
        made = Looking(allows_all=self._allows_all)
        made._allowed, made._seen = set(self._allowed), set(self._seen)
        return made

    def allow(self, handlers: Iterable[str]) -> None:
        """These may fail; none named: all."""
        before = len(self._allowed)
        self._allowed.update(handlers)
        self._allows_all = self._allows_all or len(self._allowed) == before

    def look(self, engine: Engine, app: App, handler: str) -> None:
        """The test sees what is kept of a handler now."""
        self._seen.update((handler, letter.record.sequence) for letter in kept_of(engine, app, handler))

    def unseen(self, engine: Engine, apps: Iterable[App]) -> list[str]:
        """What the test did not look at, in lines: handler, key, error."""
        if self._allows_all:
            return []
        failures = [
            (letter.record.sequence, _line(mapping, letter))
            for app in apps
            for mapping in app.mappings
            if mapping.id not in self._allowed
            for letter in kept_of(engine, app, mapping.id)
            if not letter.is_waiting and (mapping.id, letter.record.sequence) not in self._seen
        ]
        return [line for _, line in sorted(failures)]

    def check(self, engine: Engine, apps: Iterable[App]) -> None:
        """Raises: NotLookedAt."""
        unseen = self.unseen(engine, apps)
        if unseen:
            more = [f"  and {len(unseen) - MOST} more"] if len(unseen) > MOST else []
            raise NotLookedAt(
                "\n".join(
                    (
                        f"handlers gave up on {len(unseen)} changes that the test did not look at:",
                        *unseen[:MOST],
                        *more,
                        "  look: world.dead_letters(handler); or allow it: "
                        "world.allow_failures(handler), World(app, allow_failures=True)",
                    )
                )
            )


def kept_of(engine: Engine, app: App, handler: str) -> list[DeadLetter]:
    """Every dead letter and parked change of a handler, what only waits included."""
    return at_once(listed(letters(state_of(engine), app.name, handler)))


def _line(mapping: HandlerMapping, letter: DeadLetter) -> str:
    change = Change(letter.record, mapping.table.name, None if letter.is_of_window else mapping.entity)
    attempts = f"{letter.attempts} attempts" if letter.attempts != 1 else "1 attempt"
    return (
        f"  {mapping.id} ← {mapping.table.name}/{change.key}: {letter.error or letter.condition} ({attempts})"
    )
