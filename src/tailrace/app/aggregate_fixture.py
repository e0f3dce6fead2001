"""Tests of decisions: `accounts.given(Opened()).when(Deposit(5)).then(Deposited(5))`.

Theory of operation: without a place nothing is written; events go through their items all the same, so that
one which could not be kept fails here. `at("a1")` does the same in the DynamoDB that the app is attached to,
as a test world is: given events are appended, and what `handle` has appended is compared.
Rules of this file: it judges, by AssertionError; it reads and writes only through the aggregate.
"""

import re
from collections.abc import Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from tailrace.aggregates.core.folding import Loaded
from tailrace.aggregates.core.layout import StoredEvent
from tailrace.aggregates.run.handling import Decided
from tailrace.app.aggregate_model import AggregateModel
from tailrace.errors import SettingsError

S = TypeVar("S")


class Tested(Protocol[S]):
    """An aggregate, as far as its tests ask it."""

    name: str
    model: AggregateModel[S]

    def handle(self, id: str, command: Any) -> Decided[S]:
        """Decide and append."""

    def append(self, id: str, events: Sequence[Any]) -> Decided[S]:
        """Append what is decided."""

    def load(self, id: str) -> Loaded[S]:
        """The state as it is now."""


class Given(Generic[S]):
    """What has happened."""

    def __init__(self, aggregate: Tested[S], events: Sequence[Any], id: str | None = None) -> None:
        self._aggregate = aggregate
        self._events = tuple(events)
        self._id = id

    def at(self, id: str) -> "Given[S]":
        """The same in the DynamoDB that the app is attached to, for the aggregate of that id."""
        return Given(self._aggregate, self._events, id)

    def when(self, command: Any) -> "When[S]":
        """Decide a command. Raises nothing: what `decide` raises is for `raises`."""
        state, version = self._state()
        try:
            if self._id is None:
                events = tuple(self._aggregate.model.decide(command, state))
            else:
                events = self._aggregate.handle(self._id, command).events
        except Exception as error:  # it is the outcome: `raises` compares it, `then` raises it
            return When(self._aggregate, state, version, (), error)
        return When(self._aggregate, state, version, events, None)

    def _state(self) -> tuple[S, int]:
        model = self._aggregate.model
        if self._id is not None:
            self._aggregate.append(self._id, self._events)
            loaded = self._aggregate.load(self._id)
            return loaded.state, loaded.version
        state = model.initial()
        for event in self._events:
            state = model.evolve(state, through_item(self._aggregate, event))
        return state, len(self._events)


class When(Generic[S]):
    """What a command came to."""

    def __init__(
        self,
        aggregate: Tested[S],
        before: S,
        version: int,
        events: tuple[Any, ...],
        error: Exception | None,
    ) -> None:
        self._aggregate = aggregate
        self._before = before
        self._version = version
        self._events = events
        self._error = error

    def then(self, *events: Any) -> Self:
        """Require exactly these events; none: that nothing happened. Raises: AssertionError, what decide
        raised.
        """
        if self._error is not None:
            raise self._error
        kept = tuple(through_item(self._aggregate, event) for event in self._events)
        if kept != events:
            raise AssertionError(
                f"{self._aggregate.name}: decided\n  {_lines(kept)}\ninstead of\n  {_lines(events)}"
            )
        return self

    def raises(self, kind: type[BaseException], match: str = "") -> Self:
        """Require that the command is refused, in words that `match` finds. Raises: AssertionError."""
        if self._error is None:
            raise AssertionError(
                f"{self._aggregate.name}: decided {_lines(self._events)} instead of {kind.__name__}"
            )
        if not isinstance(self._error, kind):
            raise self._error
        if not re.search(match, str(self._error)):
            raise AssertionError(f"{self._aggregate.name}: {str(self._error)!r} does not say {match!r}")
        return self

    def then_state(self, state: S) -> Self:
        """Require the state after it. Raises: AssertionError, what decide raised."""
        if self._error is not None:
            raise self._error
        after = self._before
        for event in self._events:
            after = self._aggregate.model.evolve(after, through_item(self._aggregate, event))
        if after != state:
            raise AssertionError(
                f"{self._aggregate.name}: the state is\n  {after!r}\ninstead of\n  {state!r}"
            )
        return self

    @property
    def loaded(self) -> Loaded[S]:
        """The state that was decided on."""
        return Loaded(self._before, self._version)


def through_item(aggregate: Tested[Any], event: Any) -> Any:
    """An event as it is after it was kept and read. Raises: ItemError; SettingsError for what is no event."""
    if isinstance(event, type):
        raise SettingsError(f"{event.__name__} is a class; give an event: {event.__name__}(…)")
    written = aggregate.model.write(event)
    return aggregate.model.read(
        StoredEvent(1, written.type, written.schema, written.data, through=1, append="")
    )


def _lines(events: Sequence[Any]) -> str:
    return "\n  ".join(map(repr, events)) or "nothing"
