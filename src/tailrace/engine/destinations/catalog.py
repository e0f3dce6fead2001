"""Destinations in memory for speed, and in the catalog's table of the store for good.

Rules of this file: every change of what is kept goes through the pending group; after a failed commit all of
it is read again. Nothing here decides. Called by everything in `engine.destinations`.
"""

from typing import Final

import msgspec

from tailrace.engine.catalog import Catalog, TableState
from tailrace.engine.committer import Committer
from tailrace.engine.destinations.documents import AT_REST, DestinationDocument
from tailrace.engine.destinations.passage import Passage
from tailrace.engine.documents import CATALOG

PREFIX: Final = b"destination/"


class DestinationState:
    """A destination in memory.

    Shape:   `passage` is how far its log is delivered; `has_work` says that its log may have something to
             deliver; `throttled` counts since the start.
    """

    __slots__ = ("document", "has_work", "passage", "throttled")

    def __init__(self, document: DestinationDocument, through: int) -> None:
        self.document = document
        self.has_work = True
        self.passage = Passage(through)
        self.throttled = 0


class DestinationCatalog:
    """All destinations by the numbers of their logs, the oldest first."""

    def __init__(self, committer: Committer, catalog: Catalog) -> None:
        self._committer = committer
        self._catalog = catalog
        self.by_log: dict[int, DestinationState] = {}

    def load(self) -> None:
        """Read everything from the store, behind the tables. Raises: StoreError."""
        throttled = {number: state.throttled for number, state in self.by_log.items()}
        self.by_log.clear()
        documents = self._catalog.documents(PREFIX, DestinationDocument).values()
        for document in sorted(documents, key=lambda document: document.log):
            number = document.log
            state = DestinationState(document, self._catalog.trimmed.get(number, 0))
            state.throttled = throttled.get(number, 0)
            self.by_log[number] = state
            self._note(document)

    def table_of(self, document: DestinationDocument) -> TableState | None:
        """The table that it is of, None when that is gone."""
        table = self._catalog.tables.get(document.table)
        return None if table is None or table.number != document.table_number else table

    def of_table(self, table: TableState) -> list[DestinationState]:
        """Those of a table, the oldest first."""
        return [state for state in self.by_log.values() if state.document.table_number == table.number]

    def save(self, document: DestinationDocument) -> DestinationState:
        """Keep a destination's new document."""
        state = self.by_log.get(document.log)
        if state is None:
            state = self.by_log[document.log] = DestinationState(document, 0)
        state.document = document
        self._note(document)
        self._committer.put_row(CATALOG, _key(document), msgspec.json.encode(document))
        return state

    def _note(self, document: DestinationDocument) -> None:
        """Tell the table whether its writes are to be looked at for this destination."""
        table = self.table_of(document)
        if table is None:
            return
        if document.status not in AT_REST:
            table.destination = document.log
        elif table.destination == document.log:
            table.destination = 0

    def save_passed(self, state: DestinationState) -> None:
        """Keep how far its log is delivered."""
        self._catalog.save_trimmed(state.document.log, state.passage.through)

    def remove(self, state: DestinationState) -> None:
        """Forget a destination whose log is empty."""
        document = state.document
        del self.by_log[document.log]
        self._catalog.save_trimmed(document.log, None)
        self._committer.put_row(CATALOG, _key(document), None)


def _key(document: DestinationDocument) -> bytes:
    return PREFIX + b"%010d/" % document.table_number + document.stream_arn.encode()
