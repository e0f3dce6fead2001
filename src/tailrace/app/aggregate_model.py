"""An aggregate's functions and classes, as the core asks them: events and states typed, items beyond.

Rules of this file: classes are read by models.py, values by plain.py; nothing is loaded or appended here.
Called by aggregate.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from tailrace.aggregates.core.folding import EventData
from tailrace.aggregates.core.layout import StoredEvent
from tailrace.aggregates.core.upcasting import Step, Upcasts
from tailrace.app.code_version import version_of
from tailrace.app.fields import fresh
from tailrace.app.models import ModelCodec, model_of
from tailrace.app.plain import to_item, to_plain_item
from tailrace.errors import ItemError, SettingsError
from tailrace.values.types import Item
from tailrace.values.wire import read_item

S = TypeVar("S")
Events = Sequence[type[Any]] | Mapping[str, type[Any]]
MANY: Final = (list, tuple)


class AggregateModel(Generic[S]):
    """What `app.aggregate` was told. Shape: see `aggregates.core.folding.Model`, which it is."""

    def __init__(
        self,
        name: str,
        initial: Callable[[], S] | S,
        decide: Callable[[Any, S], Any],
        evolve: Callable[[S, Any], S],
        events: Events,
        snapshot_every: int = 0,
    ) -> None:
        self.name = name
        self.snapshot_every = snapshot_every
        self._initial: Callable[[], S] = initial if callable(initial) else fresh(initial)
        self._decide = decide
        self._evolve = evolve
        self._classes = _named(name, events)
        self._types = {cls: name for name, cls in self._classes.items()}
        self._upcasts = Upcasts(self._classes)
        self._code: str | None = None
        for cls in self._classes.values():
            with suppress(NameError):  # an annotation that is not defined yet: the first use will know it
                self._compiled(cls)

    # ---- the user's functions ------------------------------------------------------------------------------

    @property
    def code(self) -> str:
        """The version of the code that folds, as `code_version` tells it: of what the state is made of."""
        if self._code is None:
            kind = type(self._initial())
            parts = (self._initial, self._evolve, kind, *self._classes.values(), *self._upcasts.functions)
            self._code = version_of(parts)
        return self._code

    def initial(self) -> S:
        """The state before the first event."""
        return self._initial()

    def decide(self, command: Any, state: S) -> Sequence[Any]:
        """The events of a command. Raises: what the function raises; ItemError for what is no event."""
        events = self._events_of(self._decide(command, state))
        for event in events:
            if type(event) not in self._types:
                raise ItemError(f"{self.name}: decide answered {event!r}: {self._known()}")
        return events

    def _events_of(self, answer: Any) -> Sequence[Any]:
        """decide answers with an event, several, or nothing."""
        if answer is None:
            return ()
        if type(answer) in self._types:
            return (answer,)
        if isinstance(answer, MANY) or hasattr(answer, "__next__"):
            return tuple(answer)
        return (answer,)

    def evolve(self, state: S, event: Any) -> S:
        """The state after an event. Raises: what the function raises; ItemError when it returns nothing."""
        after = self._evolve(state, event)
        if after is None:
            raise ItemError(
                f"{self.name}: evolve returned None for {event!r}; it returns the state after the event"
            )
        return after

    # ---- events --------------------------------------------------------------------------------------------

    @property
    def classes(self) -> Mapping[str, type[Any]]:
        """The events of today, by their types."""
        return self._classes

    def upcast(
        self, type: str, schema: int, upcaster: Callable[[dict[str, Any]], dict[str, Any]], into: str
    ) -> None:
        """Enter an upcaster. Raises: SettingsError."""
        self._upcasts.add(type, schema, Step(upcaster, into))
        self._code = None

    def schemas(self) -> list[tuple[str, int]]:
        """Every type and schema version that may be in a table, today's among them. Raises: SettingsError."""
        self._upcasts.check()
        return sorted({*self._upcasts.old, *((name, self._upcasts.newest(name)) for name in self._classes)})

    def write(self, event: Any) -> EventData:
        """An event for its item. Raises: ItemError."""
        name = self._types.get(type(event))
        if name is None:
            raise ItemError(f"{self.name}: {event!r} is an unknown event: {self._known()}")
        data = read_item(self._compiled(type(event)).encode(event))
        return EventData(name, self._upcasts.newest(name), data)

    def read(self, event: StoredEvent) -> Any:
        """An event of its item. Raises: ItemError."""
        return self.read_data(f"event {event.version}", event.type, event.schema, event.data)

    def read_data(self, place: str, type: str, schema: int, data: Item) -> Any:
        """The event of these fields, upcast where they are old. Raises: ItemError, SettingsError."""
        if type in self._classes and schema == self._upcasts.newest(type):
            return self._compiled(self._classes[type]).decode(data)
        self._upcasts.check()
        today, plain = self._upcasts.upcast(f"{self.name}: {place}", type, schema, to_plain_item(data))
        try:
            return self._compiled(self._classes[today]).decode(to_item(plain))
        except (ItemError, SettingsError) as error:
            raise ItemError(f"{self.name}: {place}: {type} {schema}, upcast: {error.args[0]}") from error

    def _compiled(self, cls: type[Any]) -> ModelCodec:
        model = model_of(cls)
        if model is None:
            raise SettingsError(
                f"aggregate {self.name!r}: {cls.__name__} is no class with fields: make it a dataclass, "
                f"an attrs "
                "class, a pydantic model or an Item"
            )
        return model

    def _known(self) -> str:
        return f"its events are {', '.join(sorted(self._classes))}"

    # ---- snapshots -----------------------------------------------------------------------------------------

    def write_state(self, state: S) -> Item:
        """A state for a snapshot. Raises: ItemError."""
        return read_item(self._compiled(type(state)).encode(state))

    def read_state(self, item: Item) -> S:
        """A state of a snapshot. Raises: ItemError."""
        state: S = self._compiled(type(self._initial())).decode(item)
        return state

    def check_snapshots(self) -> None:
        """Require that a state can be kept. Raises: SettingsError."""
        state = self._initial()
        if self.read_state(self.write_state(state)) != state:
            raise SettingsError(
                f"aggregate {self.name!r}: snapshot_every needs a state that is equal to itself when it "
                f"is written "
                f"and read again: {state!r} is not; make it a dataclass"
            )


def _named(name: str, events: Events) -> dict[str, type[Any]]:
    """The classes by their types. Raises: SettingsError."""
    pairs: Iterable[tuple[str, type[Any]]]
    pairs = events.items() if isinstance(events, Mapping) else [(cls.__name__, cls) for cls in events]
    named: dict[str, type[Any]] = {}
    for type_name, cls in pairs:
        if type_name in named:
            raise SettingsError(
                f"aggregate {name!r}: two events are called {type_name!r}: events={{'Other': "
                f"{cls.__name__}}} gives "
                "one another name"
            )
        named[type_name] = cls
    if not named:
        raise SettingsError(f"aggregate {name!r}: events=[] is not allowed; name the classes of its events")
    if len(set(named.values())) < len(named):
        raise SettingsError(f"aggregate {name!r}: one class is named twice in events=")
    return named
