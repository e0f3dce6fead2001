"""Which changes a redrive request means now: letters by their items, and the keys that are parked.

Rules of this file: it reads and decides, and writes nothing; rows a page at a time, because each may hold two
images of 400 KB.
"""

from collections.abc import Callable

from tailrace.deadletters.core.entry import DeadLetter, deadletter_prefix, parked_prefix, read_deadletter
from tailrace.deadletters.core.head import Head, head_prefix, read_head
from tailrace.deadletters.core.passed import passed_key, read_passed
from tailrace.deadletters.core.requests import RedrivePlan, RedriveRequest
from tailrace.rows.writes import StateRow
from tailrace.runtime.steps import Get, QueryRows, Sleep, Steps


class RedrivePlanner:
    """Plans the requests of one app. Units: `page` is in rows."""

    def __init__(self, app: str, page: int) -> None:
        self._app, self._page = app, page

    def plan(self, request: RedriveRequest) -> Steps[RedrivePlan]:
        """What a request means now. Raises: StoreError."""
        plan, failed = RedrivePlan(), set[bytes]()

        def letter_of(row: StateRow) -> Steps[None]:
            yield from self._plan_letter(request, plan, failed, read_deadletter(row.fields))

        def key_of(row: StateRow) -> Steps[None]:
            yield from self._plan_key(request, plan, read_head(self._app, request.handler, row.fields))

        yield from self._rows(deadletter_prefix(self._app, request.handler), letter_of)
        yield from self._rows(head_prefix(self._app, request.handler), key_of)
        return plan

    def _rows(self, prefix: str, take: Callable[[StateRow], Steps[None]]) -> Steps[None]:
        """Take rows a page at a time; between two pages others have their turn."""
        after = ""
        while True:
            rows: list[StateRow] = yield QueryRows(prefix, after, self._page)
            for row in rows:
                yield from take(row)
            if len(rows) < self._page:
                return
            after = rows[-1].key
            yield Sleep(0)

    def _plan_letter(
        self, request: RedriveRequest, plan: RedrivePlan, failed: set[bytes], letter: DeadLetter
    ) -> Steps[None]:
        key, is_tried = letter.record.key, letter.tried == request.id
        if not is_tried and (key in failed or not request.choice.takes(letter)):
            return
        passed: StateRow | None = yield Get(passed_key(self._app, request.handler, key))
        is_overtaken = read_passed(None if passed is None else passed.fields) > letter.record.version
        if not is_tried:
            plan.items.setdefault(key, []).append(letter.record.version)
            plan.overtaken += is_overtaken
        elif not (is_overtaken or request.even_if_overtaken):
            failed.add(key)  # what comes after it would be applied before it

    def _plan_key(self, request: RedriveRequest, plan: RedrivePlan, head: Head) -> Steps[None]:
        if not request.drop and head.first in plan.items.get(head.key, ()):
            return  # what waits behind a discarded change that is put back goes with it
        if head.tried != request.id and (count := (yield from self._meant(request, head))) is not None:
            plan.keys.append(head.key)
            plan.changes += count

    def _meant(self, request: RedriveRequest, head: Head) -> Steps[int | None]:
        """How many changes of a parked key wait; None: it is not meant."""
        # What was parked behind a discarded change that this request puts back waits for nothing else.
        count, is_meant = 0, not request.drop and head.claimed_by.partition("/")[0] == request.id
        prefix, after = parked_prefix(self._app, request.handler, head.key), ""
        while True:
            rows: list[StateRow] = yield QueryRows(prefix, after, self._page)
            for letter in (read_deadletter(row.fields) for row in rows):
                if not letter.is_waiting:
                    is_meant = is_meant or request.choice.takes(letter)
                elif count == 0:
                    is_meant = is_meant or request.choice.takes_waiting(letter)
                count += 1
            if len(rows) < self._page:
                break
            after = rows[-1].key
        return count if is_meant else None
