"""Time to live: switched on and off, entries in the order of expiry, and the service's own deletes.

Rules of this file: an entry changes in the group of its item, so that neither is ever without the other; only
what is due is ever read. An item is deleted if at that moment it still has the time it was found by. A table
that has items when time to live is switched on is gone through once, in slices, also over a restart. Called
by `engine.engine` and `engine.expiry`.
Source: semantics §1.8. Layout: docs/formats/catalog.md.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import orjson

from tailrace.engine.catalog import Catalog, Expiry, TableState
from tailrace.engine.committer import Committer
from tailrace.engine.documents import TtlDocument
from tailrace.engine.horizon import Horizon
from tailrace.engine.lifecycle import Lifecycle
from tailrace.engine.rounds import in_turn
from tailrace.engine.settings import EngineSettings
from tailrace.errors import validation_error
from tailrace.ports import Clock
from tailrace.tables.mutate import Delete, Mutation
from tailrace.tables.ttl import due_ms, is_expired, may_expire

MARK: Final = b"1"
DUE_BYTES: Final = 8
NEVER_MS: Final = 1 << 62
SWITCHING_MS: Final = 60_000
COOL_DOWN_MS: Final = 3_600_000
"""With `aws_delays`: how long it is ENABLING or DISABLING, and how long it may not be changed again."""


class TimeToLive:
    """Time to live of every table of one engine."""

    def __init__(
        self,
        committer: Committer,
        catalog: Catalog,
        lifecycle: Lifecycle,
        delete: Callable[[Delete], object],
        clock: Clock,
        settings: EngineSettings,
        horizon: Horizon,
    ) -> None:
        self._committer = committer
        self._catalog = catalog
        self._lifecycle = lifecycle
        self._delete = delete
        self._clock = clock
        self._settings = settings
        self._horizon = horizon

    # ---- on and off ----------------------------------------------------------------------------------------

    def update(self, name: str, attribute: str, *, enabled: bool) -> None:
        """UpdateTimeToLive. Raises: ApiError. Source: semantics §1.8."""
        table = self._lifecycle.idle(name)
        wall_ms = self._clock.now().wall_ms
        ttl = table.document.ttl
        self._check(ttl, attribute, enabled, wall_ms)
        if enabled:
            number = self._catalog.take_table_number()
            changed = TtlDocument(attribute, number, wall_ms, is_filling=True)
        else:
            assert ttl is not None
            self._catalog.drop(ttl.number)
            changed = TtlDocument(attribute, 0, wall_ms)
        self._save(table, changed)
        table.set_expiry()

    def _check(self, ttl: TtlDocument | None, attribute: str, enabled: bool, wall_ms: int) -> None:
        is_on = ttl is not None and ttl.number > 0
        if is_on and ttl is not None and ttl.attribute != attribute:
            raise validation_error(
                f"TimeToLive is active on a different AttributeName: current AttributeName is {ttl.attribute}"
            )
        if is_on == enabled:
            raise validation_error(f"TimeToLive is already {'enabled' if enabled else 'disabled'}")
        if ttl is not None and self._settings.aws_delays and wall_ms < ttl.changed_ms + COOL_DOWN_MS:
            raise validation_error("Time to live has been modified multiple times within a fixed interval")

    def describe(self, name: str) -> dict[str, Any]:
        """DescribeTimeToLive. Returns: AWS's TimeToLiveDescription. Raises: ApiError."""
        table = self._lifecycle.named(name)
        busy = table.document.busy
        if busy == "CREATING":
            raise validation_error(
                f"Cannot describe time to live while table is in {busy} state: Current table state is {busy}"
            )
        ttl = table.document.ttl
        if ttl is None:
            return {"TimeToLiveStatus": "DISABLED"}
        wall_ms = self._clock.now().wall_ms
        is_switching = self._settings.aws_delays and wall_ms < ttl.changed_ms + SWITCHING_MS
        if not ttl.number and not is_switching:
            return {"TimeToLiveStatus": "DISABLED"}
        verb = "ENABL" if ttl.number else "DISABL"
        return {
            "TimeToLiveStatus": verb + ("ING" if is_switching else "ED"),
            "AttributeName": ttl.attribute,
        }

    def _save(self, table: TableState, ttl: TtlDocument) -> None:
        self._catalog.save_table(table, msgspec.structs.replace(table.document, ttl=ttl))

    # ---- entries -------------------------------------------------------------------------------------------

    def write(self, expiry: Expiry, mutation: Mutation) -> None:
        """Add to the group what a change does to the item's entry."""
        old, new = due_ms(mutation.old, expiry.attribute), due_ms(mutation.new, expiry.attribute)
        if old == new:
            return
        if old is not None:
            self._committer.put_row(expiry.number, _entry(old) + mutation.key_bytes, None)
        self._add(expiry, new, mutation.key_bytes)

    def _add(self, expiry: Expiry, due: int | None, key_bytes: bytes) -> None:
        if due is not None and may_expire(due, self._clock.now().wall_ms):
            self._committer.put_row(expiry.number, _entry(due) + key_bytes, MARK)
            expiry.next_ms = min(expiry.next_ms, due)

    # ---- housekeeping --------------------------------------------------------------------------------------

    def slices(self) -> Iterator[None]:
        """Note what stands in tables where time to live is new, and delete what has expired; flush after
        each.

        Guarantee: ends at the first commit that fails: the next round begins anew.
        Raises:  StoreError at the end, when the rows of a table could not be read.
        """
        failures = self._committer.failures
        return in_turn(self._table_slices(name, failures) for name in tuple(self._catalog.tables))

    def _table_slices(self, name: str, failures: int) -> Iterator[None]:
        while self._committer.failures == failures and (table := self._catalog.tables.get(name)) is not None:
            if not self._slice(table):
                return
            yield

    def _slice(self, table: TableState) -> bool:
        expiry, ttl = table.expiry, table.document.ttl
        if expiry is None or ttl is None or table.document.busy in ("CREATING", "DELETING"):
            return False
        if ttl.is_filling:
            self._fill(table, expiry, ttl)
            return True
        return expiry.next_ms <= self._clock.now().wall_ms and self._expire(table, expiry)

    def _fill(self, table: TableState, expiry: Expiry, ttl: TtlDocument) -> None:
        rows = self._committer.query(table.number, ttl.position, None, self._settings.slice_rows)
        for key, data in rows:
            self._add(expiry, due_ms(orjson.loads(data), expiry.attribute), key)
        is_last = len(rows) < self._settings.slice_rows
        position = b"" if is_last else rows[-1][0] + b"\0"
        self._save(table, msgspec.structs.replace(ttl, is_filling=not is_last, position=position))

    def _expire(self, table: TableState, expiry: Expiry) -> bool:
        """One slice of what is due; False when nothing is, and then it is not asked again before something
        can be.
        """
        wall_ms = self._clock.now().wall_ms - self._horizon.look()
        rows = self._committer.query(expiry.number, b"", None, self._settings.slice_rows)
        for entry, _ in rows:
            due = int.from_bytes(entry[:DUE_BYTES])
            if due > wall_ms:
                expiry.next_ms = due
                return entry is not rows[0][0]
            self._committer.put_row(expiry.number, entry, None)
            data = self._committer.get(table.number, entry[DUE_BYTES:])
            if data is None:
                continue
            item = orjson.loads(data)
            if due_ms(item, expiry.attribute) == due and is_expired(due, wall_ms):
                self._delete(Delete(table.key, table.schema.key_of(item), by_ttl=True))
        if not rows:
            expiry.next_ms = NEVER_MS
        return bool(rows)


def _entry(due: int) -> bytes:
    return due.to_bytes(DUE_BYTES)
