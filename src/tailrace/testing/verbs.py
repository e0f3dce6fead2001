"""The verbs of the command line in a test world, and whether the test looked at what they would have shown.

Rules of this file: answers are those of the command line; time passes as far as they need. The part of
`World` that `app.dlq` and `app.projected` ask.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from tailrace.app.app import App
from tailrace.server.audit import audited
from tailrace.server.control import Subject, find_verb
from tailrace.server.turns import Joined
from tailrace.testing.loop import SeededLoop
from tailrace.testing.questions import Questions

Result = TypeVar("Result")


class Verbs(Questions):
    """A world that answers verbs."""

    loop: SeededLoop
    _joined: Joined
    _killed: list[App]

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        raise NotImplementedError

    async def _done(self, task: asyncio.Task[Any]) -> None:
        """Let time pass until a task is done."""
        raise NotImplementedError

    def check_failures(self) -> None:
        """See that no handler gave up on anything that the test did not look at.

        Shape:   the fixture and the `with` block do this at their end.
        Raises:  NotLookedAt, with handlers, keys and errors; SettingsError for a block of `faults` never
                 entered.
        """
        __tracebackhide__ = True
        if not self.loop.is_closed():
            self._faults.check_entered()
            self._looking.check(self.engine, [*(running.app for running in self._running), *self._killed])

    def allow_failures(self, *handlers: Callable[..., Any] | str) -> None:
        """Let these handlers give up on changes without the test looking at them; none named: all.

        Raises:  SettingsError.
        """
        self._looking.allow(self._named(handler)[1].id for handler in handlers)

    def verified(self, sink: str, *, sample: str | None = None, repair: bool = False) -> dict[str, Any]:
        """Compare a mirror with its table, as `tailrace sink verify` does; `repair` mends what differs.

        Returns: the report of `--json`: `equal` and the counts of what differs (docs/verify.md).
        Raises:  TailraceError for what is no mirror.
        """
        verb = "sink.repair" if repair else "sink.verify"
        answer: dict[str, Any] = self._ask(verb, {"sink": sink, "sample": sample})[-1]["report"]
        return answer

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> list[Any]:
        """What a verb answers, as on the command line; time passes as far as it needs."""
        self._looked_at(name, arguments)
        answers = self._run(self._answers(name, arguments))
        self._looked_at(name, arguments)
        return answers

    def _looked_at(self, name: str, arguments: Mapping[str, Any]) -> None:
        """A question about a handler's dead letters has seen them, before and after what the verb does."""
        for running in self._running if name.startswith("dlq.") else ():
            if running.is_asked(arguments):
                self._looking.look(self.engine, running.app, str(arguments["handler"]))

    async def _answers(self, name: str, arguments: Mapping[str, Any]) -> list[Any]:
        asked = find_verb(name)
        app = next((running for running in self._running if running.is_asked(arguments)), self._running[0])
        subject = Subject(self.engine, self.clock, app.worker, flushed=self._joined)

        async def collect() -> list[Any]:
            async with (
                audited(subject.state, self.clock, asked.name, arguments, changes=asked.changes),
                aclosing(asked.run(subject, arguments)) as values,
            ):
                return [value async for value in values]

        task = self.loop.create_task(collect(), name=name)
        await self._done(task)
        if task.cancelled():  # the worker died at its answer: what verbs do is durable, and is asked again
            return await self._answers(name, arguments)
        return task.result()
