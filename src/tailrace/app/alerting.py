"""What an app says of alerts: who is told, and past which bounds.

Rules of this file: it judges the words only; what looks and tells is alerts/run. Called by app.py. Stands
alone because sinks and the room of alerts name the same protocol.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from tailrace.alerts.core.signs import AlertBounds
from tailrace.app.retry import milliseconds
from tailrace.errors import SettingsError
from tailrace.ports import Clock


@runtime_checkable
class AlertSink(Protocol):
    """Who is told of alerts: `sinks.Webhook(…)`, `sinks.Sns(…)`, or an object of yours with these three."""

    async def open(self, clock: Clock) -> None:
        """Make ready. Repeatable. Raises: whatever keeps it from being told."""

    async def tell(self, id: str, subject: str, body: bytes) -> None:
        """Take one notice. Shape: `subject` is ASCII of at most 100 letters, `body` a JSON object. May see an
        `id` twice. Raises: whatever says that it was not taken: it is told again.
        """

    def close(self) -> Awaitable[None]:
        """Give everything back."""


class AlertPlan(Struct, frozen=True):
    """Who is told of what."""

    sinks: tuple[AlertSink, ...]
    bounds: AlertBounds


def alert_plan(sinks: Sequence[object], **bounds: str) -> AlertPlan:
    """The plan that `app.alerts` makes. Raises: SettingsError."""
    if not sinks:
        raise SettingsError("alerts: nobody is told; name a sink: app.alerts(sinks.Webhook(…))")
    for sink in sinks:
        if not isinstance(sink, AlertSink):
            raise SettingsError(
                f"alerts: {sink!r} cannot be told; it is sinks.Webhook(…), sinks.Sns(…), or an object with "
                "`open`, `tell` and `close`"
            )
    told = tuple(sink for sink in sinks if isinstance(sink, AlertSink))
    times = {f"{name}_ms": _time(name, text) for name, text in bounds.items()}
    return AlertPlan(told, AlertBounds(**times))


def _time(name: str, text: str) -> int:
    try:
        time_ms = milliseconds(text)
    except SettingsError as error:
        raise SettingsError(f"alerts: {name}={error.args[0]}") from error
    if time_ms <= 0:
        raise SettingsError(f"alerts: {name}={text!r} is not allowed; it is longer than nothing")
    return time_ms
