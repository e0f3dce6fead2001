"""The mirrors of an app, and why others of its sinks cannot be compared with their tables.

Rules of this file: it only names and refuses; joined by compose_parts.py, asked by the verbs of
server/sinks.py.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.filtering import Filter
from tailrace.app.mapping import HandlerMapping
from tailrace.app.predicates import Predicate, needs_history
from tailrace.app.table import EVENTS
from tailrace.errors import TailraceError
from tailrace.ports import Mirror
from tailrace.verification.run.reading import Compared


class Mirrors(Struct, frozen=True):
    """The sinks of one app. Shape: `of` joins what a comparison of a mapping is given."""

    app: App
    of: Callable[[HandlerMapping], Compared]

    @property
    def sinks(self) -> Sequence[HandlerMapping]:
        """Every mapping that writes to a sink of changes, in the order of declaration."""
        return [mapping for mapping in self.app.mappings if mapping.kind == "sink"]

    def refused(self, mapping: HandlerMapping) -> str | None:
        """Why a sink cannot be compared with its table; None: it can be."""
        sink: object = mapping.sink
        changes = mapping.settings.accepts
        if not isinstance(sink, Mirror):
            return f"{type(sink).__name__} has no row for each item that could be compared with it"
        others = [other.id for other in self.sinks if other.sink is mapping.sink and other.id != mapping.id]
        if others:
            return f"its rows are those of {', '.join(others)} too: give each a sink of its own"
        if isinstance(changes, Filter):
            if set(changes.changes.events) != set(EVENTS):
                return f"it gets only some kinds of changes ({', '.join(changes.changes.events)})"
            if isinstance(changes.where, Predicate) and needs_history(changes.where):
                return (
                    f"where={changes.where!r} asks how an item changed, which an item by itself does not say"
                )
        return None

    def named(self, name: str) -> Compared:
        """The mirror of that name, ready to be compared. Raises: TailraceError that names those there are."""
        mapping = next((mapping for mapping in self.sinks if mapping.id == name), None)
        words = ", ".join(known.id for known in self.sinks if self.refused(known) is None) or "none"
        if mapping is None:
            raise TailraceError(
                f"App {self.app.name!r} has no sink {name!r}. Sinks that can be compared: {words}.",
                hint="tailrace sink ls",
            )
        if (why := self.refused(mapping)) is not None:
            raise TailraceError(
                f"Sink {name!r} cannot be compared with its table: {why}. Sinks that can be: {words}.",
                hint="tailrace sink ls",
            )
        return self.of(mapping)
