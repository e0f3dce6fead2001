"""What a person may ask of a running app, from Python: its dead letters.

Rules of this file: it builds requests and asks; what answers (a world, a server's socket, a directory) is
bound from outside. The verbs, their arguments and answers are those of the command line.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from tailrace.errors import SettingsError

Ask: TypeAlias = Callable[[str, Mapping[str, Any]], Iterable[Any]]
Moment: TypeAlias = datetime | str


class DeadLetters:
    """The dead letters and parked changes of a handler, or some of them, each as `dlq ls --json` shows it."""

    def __init__(self, ask: Ask, handler: str, chosen: Mapping[str, Any] | None = None) -> None:
        self._ask = ask
        self._handler = handler
        self._chosen = dict(chosen or {})

    def __repr__(self) -> str:
        return f"<DeadLetters of {self._handler} {self._chosen or 'all'}>"

    def where(
        self,
        *,
        error: str | None = None,
        key: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        fingerprint: str | None = None,
        event_id: str | None = None,
    ) -> "DeadLetters":
        """Those that fit: `error` and `key` are shell patterns, times those of the last failure.

        Raises:  SettingsError.
        """
        asked = {
            "error": error,
            "key": key,
            "since_ms": _ms("since", since),
            "until_ms": _ms("until", until),
            "fingerprint": fingerprint,
            "event_id": event_id,
        }
        more = {name: value for name, value in asked.items() if value is not None}
        return DeadLetters(self._ask, self._handler, {**self._chosen, **more})

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for part in self._listed():
            yield from part.get("letters", ())

    def __len__(self) -> int:
        return int(next(self._listed())["count"])

    def groups(self) -> list[Mapping[str, Any]]:
        """Failures that look alike, the largest group first."""
        groups: list[Mapping[str, Any]] = next(self._listed())["groups"]
        return groups

    def windows(self) -> list[Mapping[str, Any]]:
        """Tumbling windows whose final invoke failed for good, each with the state that it would have got."""
        return [window for part in self._listed() for window in part.get("windows", ())]

    def show(self, event_id: str) -> Mapping[str, Any]:
        """One of them whole, with what waits behind it. Raises: TailraceError."""
        return self._last("dlq.show", {"event_id": event_id})

    def diff(self, event_id: str) -> Mapping[str, Any]:
        """The item of one of them, then and now. Raises: TailraceError."""
        return self._last("dlq.diff", {"event_id": event_id})

    def redrive(
        self, *, rate: str | None = None, even_if_overtaken: bool = False, dry_run: bool = False
    ) -> Mapping[str, Any]:
        """Put them back to the handler, in the order of each item; an overtaken one only when told so.

        Shape:   `rate` as "10/s". Returns: the counts that `dlq redrive --json` shows. Raises: TailraceError.
        """
        return self._last(
            "dlq.redrive",
            {"where": self._chosen, "rate": rate, "even_if_overtaken": even_if_overtaken, "dry_run": dry_run},
        )

    def drop(self, *, with_waiting: bool = False, dry_run: bool = False) -> Mapping[str, Any]:
        """Forget them; what waits behind them stays, unless `with_waiting`. Raises: TailraceError."""
        return self._last(
            "dlq.drop", {"where": self._chosen, "with_waiting": with_waiting, "dry_run": dry_run}
        )

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        """Groups and the number of letters; then the letters, in pages."""
        return iter(self._ask("dlq.ls", {"handler": self._handler, "where": self._chosen}))

    def _last(self, verb: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        last: Mapping[str, Any] = {}
        for value in self._ask(verb, {"handler": self._handler, **arguments}):
            last = value
        return last


def _ms(name: str, moment: Moment | None) -> int | None:
    if moment is None:
        return None
    try:
        instant = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    except ValueError as error:
        raise SettingsError(f"{name}: {moment!r} is not allowed; it is a datetime or ISO 8601") from error
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1_000)
