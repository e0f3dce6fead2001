"""Parking keys durably: the fence, the key's head and the changes that wait, in one transaction.

Rules of this file: a head that has changed since it was read (the redriver puts changes of it back) is read again; a fence that does not
hold means that the lease is lost. Durable before the checkpoint that passes the records. Stands alone as the other half of what deadletters/head.py begins.
Called by runtime/delivering.py. Source: architecture §5.3.
"""

from tailrace.deadletters.head import Head, head_key, parked, read_head
from tailrace.errors import LeaseLost, StateConflict
from tailrace.mapping.commands import Park
from tailrace.ports import Now
from tailrace.rows.writes import Check, StateRow
from tailrace.runtime.settle import Place, letter_of
from tailrace.runtime.steps import AskTime, Get, Steps, Transact


def park(place: Place, fence: Check, command: Park, code_version: str) -> Steps[bool]:
    """Make it durable. Returns: whether the key is free instead, because it was unparked meanwhile.

    Raises:  LeaseLost, StoreError.
    """
    letters = [letter_of(place, entry, code_version) for entry in command.entries]
    while True:
        head = yield from _head(place, command.key)
        if head is None and letters[0].is_waiting:
            return True
        now: Now = yield AskTime()
        writes = parked(place.app, place.mapping_id, head, letters, now.wall_ms, place.stream_label)
        if not writes:
            return False
        try:
            yield Transact((fence, *writes), "park.begun", "park.done")
        except StateConflict as error:
            if error.index == 0:
                raise LeaseLost(f"another worker has taken {place.shard_id}") from error
            continue  # the redriver was faster: look again
        return False


def _head(place: Place, key: bytes) -> Steps[Head | None]:
    row: StateRow | None = yield Get(head_key(place.app, place.mapping_id, key))
    return None if row is None else read_head(place.app, place.mapping_id, row.fields)
