"""Records that fit no entity of their table: they are seen, never nowhere.

Theory of operation: a table that a typed handler reads has one mapping more, `TABLE.unmatched`. It is given
every record whose key fits none of the table's entities. Without a handler of the user's
(`@app.unmatched(shop)`) it counts them, which `tailrace status` shows as what it has handled, and logs the
first of each kind.
Rules of this file: counting and logging only. Called by declaring.py.
Stands alone because it is a handler of ours beside those that an app declares.
"""

import logging
from typing import Any, Final

from tailrace.app.change import Change
from tailrace.app.table import Table

LOG: Final = logging.getLogger("tailrace.unmatched")
LETTERS: Final = 40
KINDS: Final = 100


def unmatched_id(table: str) -> str:
    """The id of the mapping that a table's unmatched records go to."""
    return f"{table}.unmatched"


class Unmatched:
    """The records of one table that fit no entity."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._logged: set[str] = set()

    def log(self, change: Change[Any]) -> None:
        """Say it once for each kind of key, and for a hundred kinds at most."""
        kind = "/".join(str(value).partition("#")[0][:LETTERS] for value in change.keys.values())
        if kind in self._logged or len(self._logged) >= KINDS:
            return
        self._logged.add(kind)
        entities = "; ".join(f"{entity}: {entity.key_words}" for entity in self._table.entities)
        LOG.warning(
            "%s %s/%s fits no entity of the table (%s), so no typed handler sees it: declare its entity, or "
            "take it with @app.unmatched(%s); `tailrace status` counts all of them",
            change.event_name,
            self._table.name,
            change.key,
            entities,
            self._table.name,
        )
