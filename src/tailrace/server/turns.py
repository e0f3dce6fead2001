"""Group commit: the answers of one turn of the event loop leave together, after one commit.

Rules of this file: nothing leaves before what it tells is durable, reads included; a commit that fails turns
every answer of its group into InternalServerError. With a writer thread (`sync full`, and for a group so
heavy that writing it would hold up the loop) the next group collects while one is in flight. A writer
beside the HTTP server joins a group as one more connection, which has nothing to send. A store whose log
grows faster than it can be moved has its commits held back, never the loop. Driven by `server.connection`,
owned by `server.http`.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from tailrace.errors import StoreError
from tailrace.telemetry import PointReached, pass_by

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine

LOOK_AGAIN_S: Final = 0.005
"""How often a commit that is held back looks whether it may go."""
TELL_EVERY_S: Final = 10.0
_log = logging.getLogger("tailrace.server")


class Answering(Protocol):
    """A connection with answers to send."""

    def take(self) -> list[bytes]:
        """The answers that wait; they no longer do."""

    def send(self, answers: list[bytes], *, failed: bool) -> None:
        """Write them, or as many errors."""


class Turns:
    """Collects connections with answers and flushes them at the end of the turn.

    Shape:   `commit_error` says why the last commit failed, None when it did not.
    """

    def __init__(
        self,
        engine: "Engine",
        loop: asyncio.AbstractEventLoop,
        *,
        in_thread: bool = False,
        reached: PointReached = pass_by,
    ) -> None:
        self.commits = 0
        self.commit_error: str | None = None
        self._committer = engine.committer
        self._loop = loop
        self._reached = reached
        self._in_thread = in_thread
        self._writer: ThreadPoolExecutor | None = None
        self._waiting: list[Answering] = []
        self._failures = 0
        self._is_asked = False  # a commit is asked for that no answer waits for
        self._held_since: float | None = None
        self._logged_at = -TELL_EVERY_S
        self._untold = 0
        self._flight: asyncio.Future[None] | None = None

    def add(self, connection: Answering) -> None:
        """The connection has its first answer of this turn."""
        if not self._waiting:
            self._failures = self._committer.failures
            if self._flight is None:
                self._loop.call_soon(self._flush)
        self._waiting.append(connection)

    def flush_soon(self) -> None:
        """Commit at the end of the turn what was written, although no client waits for an answer yet."""
        if self._committer.is_dirty and not self._waiting and not self._is_asked:
            self._is_asked = True
            if self._flight is None:
                self._loop.call_soon(self._flush)

    async def settle(self) -> None:
        """Return when nothing waits and nothing is in flight."""
        while self._waiting or self._flight is not None:
            if self._flight is not None:
                await asyncio.wait([self._flight])
            await asyncio.sleep(0)

    def close(self) -> None:
        """End the writer thread. Nothing may be in flight."""
        if self._writer is not None:
            self._writer.shutdown()

    def _flush(self) -> None:
        if self._flight is not None:
            return  # its landing starts the next one
        if self._is_held_back():
            self._loop.call_later(LOOK_AGAIN_S, self._flush)
            return
        waiting, self._waiting = self._waiting, []
        self._is_asked = False
        is_heavy = not self._in_thread and self._committer.is_heavy
        if not (self._in_thread or is_heavy):
            self._commit()
            self._send([(connection, connection.take()) for connection in waiting], self._failures)
            return
        group = [(connection, connection.take()) for connection in waiting]
        before = self._failures
        commit = self._committer.begin_flush(is_apart=is_heavy)
        if commit is None:
            self._send(group, before)
            return
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "tailrace-writer")
        self._flight = self._loop.run_in_executor(self._writer, self._committer.write, commit)
        self._flight.add_done_callback(lambda flight: self._landed(group, before, flight))

    def _is_held_back(self) -> bool:
        """Whether this commit waits for the store's log; the loop goes on meanwhile, and the group grows."""
        most_s = self._committer.pressure_s() if self._committer.is_dirty else 0.0
        if most_s:
            now = self._loop.time()
            self._held_since = now if self._held_since is None else self._held_since
            if now - self._held_since < most_s:
                return True
        self._held_since = None
        return False

    def _commit(self) -> None:
        if not self._committer.is_dirty:
            return
        try:
            self._committer.flush()
        except StoreError as error:
            self._note_failure(error)
        else:
            self._note_success()

    def _landed(
        self, group: list[tuple[Answering, list[bytes]]], before: int, flight: "asyncio.Future[None]"
    ) -> None:
        self._flight = None
        try:
            self._committer.finish_flush(flight.exception())
        except StoreError as error:
            self._note_failure(error)
        else:
            self._note_success()
        self._send(group, before)
        if self._waiting or self._is_asked:
            self._flush()

    def _note_success(self) -> None:
        self.commits += 1
        if self.commit_error is not None:
            self.commit_error, self._untold, self._logged_at = None, 0, -TELL_EVERY_S
            _log.info("commits succeed again")

    def _note_failure(self, error: StoreError) -> None:
        """Log the first failure and then now and then: clients that retry would fill the log with it."""
        self.commit_error = str(error.args[0])
        now = self._loop.time()
        if now - self._logged_at < TELL_EVERY_S:
            self._untold += 1
            return
        more = f" ({self._untold} more failed since this was said)" if self._untold else ""
        self._untold, self._logged_at = 0, now
        _log.error("the commit failed%s", more, extra={"error": self.commit_error, "hint": error.hint})

    def _send(self, group: list[tuple[Answering, list[bytes]]], before: int) -> None:
        # Another writer of this process may have failed to flush the group: then too its answers are void.
        failed = self._committer.failures != before
        for connection, answers in group:
            connection.send(answers, failed=failed)
        self._reached("answer.sent")


class Joined:
    """`await joined()` returns when earlier writes are durable. Raises: StoreError if they never will be."""

    def __init__(self, turns: Turns, loop: asyncio.AbstractEventLoop) -> None:
        self._turns = turns
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []
        self._flying: list[asyncio.Future[None]] = []

    async def __call__(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            self._turns.add(self)
        await future

    def take(self) -> list[bytes]:
        """Nothing to send; those who wait are in this commit."""
        self._flying, self._waiting = self._waiting, []
        return []

    def send(self, answers: list[bytes], *, failed: bool) -> None:
        """The commit has ended: writers that wait for it go on."""
        landed, self._flying = self._flying, []
        for future in landed:
            if future.done():
                continue
            if failed:
                future.set_exception(StoreError(self._turns.commit_error or "the commit failed"))
            else:
                future.set_result(None)
