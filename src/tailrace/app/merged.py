"""What an app offers for order over all shards of a table: `app.merged`.

Rules of this file: the signature and what it means; declaring.py checks and enters what it says. Stands alone
because app.py has no room; `App` is one of these.
"""

from collections.abc import Callable
from typing import Final, Unpack

from tailrace.app.declaring import CommonSettings, Declarations, Handler
from tailrace.app.mapping import Target, Where
from tailrace.app.on_failure import Park, Policy
from tailrace.app.retry import Retry, milliseconds_within
from tailrace.app.settings import HandlerSettings

LONGEST_WAIT_MS: Final = 3_600_000


class InTimeOrder:
    """An app as far as order over shards asks it."""

    _declared: Declarations

    def merged(
        self,
        target: Target,
        *,
        wait: str = "1s",
        where: Where | None = None,
        retry: Retry | None = None,
        batch_size: int = 100,
        timeout: float | None = None,
        id: str | None = None,
        on_failure: Policy = Park.shard,
        once: bool = False,
        **settings: Unpack[HandlerSettings],
    ) -> Callable[[Handler], Handler]:
        """Call the handler for one change at a time, in order of time over all shards of the table.

        Shape:   a change is handed over when every other shard has come past its time, or has brought nothing
                 for `wait` since the change was read; one that comes after a younger one has gone is handed
                 over all the same, with `change.is_late`. Of one time the order is that of shards and
                 sequence numbers. A change that fails holds all that are younger: with `Park.shard` until it
                 is handled (or refused for ever), with `Discard()` until its last attempt. What waits is
                 settled in no shard, so a crash repeats it and loses nothing. One worker has all shards: it
                 runs in `dev` and in test worlds.
        Units:   wait a duration, "0ms" to "1h"; timeout in seconds, for coroutines.
        Raises:  SettingsError.
        """
        wait_ms = milliseconds_within("merged: wait", wait, 0, LONGEST_WAIT_MS, "from 0ms to 1h")
        common = CommonSettings(id, where, retry, timeout, on_failure, {"batch_size": batch_size, **settings})
        return self._declared.handler("on", target, common, once=once, order_wait_ms=wait_ms)
