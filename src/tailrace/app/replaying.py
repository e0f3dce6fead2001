"""Replays, as programs ask for them: `app.replay(receipt, since="2026-11-01T00:00Z")`.

Theory of operation: whoever runs the app (a world) says where journals are read and live replays run; else a
dry run reads the journal from its place, and a live one is `tailrace replay --effects live`, which has a
state. Rules of this file: signatures and what they mean; the room `replays` does it, and is loaded at the
first question. Stands alone because app.py has no room; `App` is one of these.
"""

from collections.abc import Callable, Collection
from collections.abc import Mapping as Names
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tailrace.app.mapping import HandlerMapping, Where
from tailrace.app.moments import Moment

if TYPE_CHECKING:
    from tailrace.replays.core.report import ReplayReport

ASKING: Final = "tailrace.replays.run.asking"
ReplayPlace: TypeAlias = Any
"""Where replays of an app run: `replays.run.asking.ReplayDoor`."""


class Replaying:
    """The replays of an app. `App` is one of these."""

    def __init__(self) -> None:
        super().__init__()
        self._replays: ReplayPlace | None = None

    def bind_replays(self, place: ReplayPlace) -> None:
        """Say where replays of this app run; called by the world."""
        self._replays = place

    def replay(
        self,
        handler: Callable[..., Any] | str,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        where: Where | str | None = None,
        keys: Collection[Names[str, Any]] | None = None,
        effects: Literal["dry-run", "live"] = "dry-run",
        stubs: Names[str, Callable[..., Any]] | str | Path | None = None,
        rate: float | None = None,
        resume: str | None = None,
        anew: bool = False,
        compare_with: str | None = None,
    ) -> "ReplayReport":
        """Call a handler again for changes of its table's journal, and wait for it.

        Shape:   changes from `since` to before `until` (now, unless told), of these `keys` (key attributes,
                 or fields of the handler's entity; None: all) and of those only what `where` wants: a
                 predicate, a function of a change, or an event pattern as text. "dry-run": effects are told
                 and none leaves; calls of others are answered by `stubs` (name to function, or a file that
                 has these), or unknown. "live": effects happen, under a run of their own, at most `rate`
                 changes a second; `resume` is the id of one that was cut off, which the same question means,
                 too, unless `anew`. `compare_with` is a git revision whose effects are compared with those
                 of now: `report.differences`. A handler with windows is called for those that were over
                 after `since` and by `until`, each once as it was last, without `keys` and `where`; live for
                 those that are closed for good.
        Raises:  SettingsError, NotKnown, Unavailable; ReplayStopped of a live one.
        """
        asked = {
            "since": since, "until": until, "where": where, "keys": keys, "effects": effects, "stubs": stubs,
            "rate": rate, "resume": resume, "anew": anew, "compare_with": compare_with,
        }  # fmt: skip
        report: ReplayReport = import_module(ASKING).replay(self, self._replays, handler, **asked)
        return report

    async def async_replay(self, handler: Callable[..., Any] | str, **asked: Any) -> "ReplayReport":
        """`replay` for coroutines: it goes on in a thread, where handlers have a loop of their own."""
        from asyncio import to_thread  # not for who imports an app alone

        return await to_thread(lambda: self.replay(handler, **asked))

    def mapping_of(self, word: str, handler: Callable[..., Any] | str) -> HandlerMapping:
        """A handler by its function or its id. Raises: SettingsError that begins with `word`."""
        raise NotImplementedError
