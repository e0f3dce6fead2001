"""Brings the keys of a data directory's rows to this version's form, once, before they are read.

Rules of this file: a slice at a time, each durable before the next; cut off anywhere, the next start goes on.
A directory without such rows is left as it is, so that opening a new one writes nothing. Stands alone because
it is of one upgrade and goes with it. Called by engine/engine.py.
"""

from typing import Final

from tailrace.engine.committer import Committer
from tailrace.engine.documents import STATE
from tailrace.engine.state import StateRows
from tailrace.rows.kinds import LAYOUT
from tailrace.rows.upgrade_to_versions import VERSIONED, rekeyed
from tailrace.rows.writes import VERSION, Write

SLICE: Final = 200


def rekey(state: StateRows, committer: Committer) -> None:
    """Rewrite every row whose key has the form of before versions. Raises: StoreError."""
    if state.get(LAYOUT.key()) is not None or not committer.query(STATE, b"", None, 1):
        return
    is_any = False
    for kind in VERSIONED:
        after = ""
        while rows := state.query(kind.prefix(), after, SLICE):
            is_any, after = True, rows[-1].key
            writes = [write for row in rows for write in rekeyed(kind, row)]
            if writes:
                state.check(writes)
                state.put(writes)
                committer.flush()
    if is_any:
        state.put([Write(LAYOUT.key(), {"v": VERSION})])
        committer.flush()
