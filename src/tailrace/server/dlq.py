"""The `dlq` verbs: look at dead letters and parked keys, put them back, drop them.

Rules of this file: a redrive and a drop are rows before they are done, so that a restart goes on with them;
without a server a redrive waits there for the next start of the app, because it needs the handler. Every
answer is JSON. Registered by `verbs`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from msgspec import structs

from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.core.redrive import (
    Choice,
    Groups,
    interval_ms,
    read_choice,
)
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.deadletters.run.redriver import Redriver
from tailrace.deadletters.views.letters import (
    behind,
    entry_value,
    letter_pages,
    letters,
    lost_window_count,
    lost_windows,
    whole,
)
from tailrace.errors import ApiError, SourceError, TailraceError
from tailrace.ports import StateStore
from tailrace.rows.kinds import AUDIT
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb, verb_of_values
from tailrace.server.handlers import named
from tailrace.streams.record import image
from tailrace.views.progress import declared

TELL_S = 0.25
"""How often a running redrive says how far it is."""


def choice_of(arguments: Arguments) -> Choice:
    """The letters that are meant. Raises: TailraceError."""
    where = arguments.get("where", {})
    if not isinstance(where, dict):
        raise TailraceError("`where` is an object.", hint="tailrace dlq ls --error 'SMTP*'")
    return read_choice(where)


def is_meant(choice: Choice, letter: DeadLetter) -> bool:
    """Whether a letter is meant; what only waits is when its key is."""
    return choice.takes_waiting(letter) if letter.is_waiting else choice.takes(letter)


@verb_of_values("dlq.ls", works_afar=True)
async def dlq_ls(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler (None: all), where. Answers the groups that look alike, how many letters there are
    and how many of them only wait, and how long the longest name of an item is; then the letters in pages.

    The windows that a function was given up on in their final invoke come last, one by one, unless `where`
    chooses among changes.
    """
    choice, state = choice_of(arguments), subject.state
    mappings = await _named_mappings(subject, arguments)
    groups: list[dict[str, Any]] = []
    count = waiting = longest = 0
    for mapping in mappings:
        grouped = await _grouped(state, mapping, choice)
        groups += [
            {"handler": mapping.handler, "fingerprint": words, **structs.asdict(group)}
            for words, group in grouped.largest_first()
        ]
        count += grouped.letters
        waiting += grouped.waiting
        longest = max(longest, grouped.longest_item(mapping.table))
    windowed = [] if arguments.get("where") else mappings
    yield {
        "groups": groups,
        "count": count,
        "waiting": waiting,
        "longest_item": longest,
        "lost_windows": sum(
            [await lost_window_count(state, mapping.app, mapping.handler) for mapping in windowed]
        ),
    }
    for mapping in mappings:
        async for page in letter_pages(state, mapping.app, mapping.handler):
            meant = [letter for letter in page if is_meant(choice, letter)]
            if values := [await entry_value(state, mapping, letter) for letter in meant]:
                yield {"letters": values}
    for mapping in windowed:
        async for window in lost_windows(state, mapping.app, mapping.handler):
            yield {"windows": [structs.asdict(window)]}


async def _named_mappings(subject: Subject, arguments: Arguments) -> list[MappingName]:
    if arguments.get("handler") is None:
        return await declared(subject.reading)
    return [await named(subject, arguments)]


async def _grouped(state: StateStore, mapping: MappingName, choice: Choice) -> Groups:
    groups = Groups()
    async for letter in letters(state, mapping.app, mapping.handler):
        if is_meant(choice, letter):
            groups.add(letter)
    return groups


@verb("dlq.show", works_afar=True)
async def dlq_show(subject: Subject, arguments: Arguments) -> object:
    """Arguments: event_id, handler (None: any that has it). Answers the letter, and what waits behind it."""
    mapping, letter = await find(subject, arguments)
    state = subject.state
    return {
        **await whole(state, mapping, letter),
        "behind": await behind(state, mapping, letter),
    }


@verb("dlq.diff", works_afar=True)
async def dlq_diff(subject: Subject, arguments: Arguments) -> object:
    """Arguments: event_id, handler. Answers the letter beside the item as it is now."""
    mapping, letter = await find(subject, arguments)
    table = letter.table or mapping.table
    if letter.is_of_window:
        raise TailraceError(
            "This is a window whose handler failed: there is no item beside it. Put back, it is told "
            "as it is then.",
            hint=f"tailrace dlq redrive {mapping.handler}",
        )
    try:
        now = await subject.item(table, image(letter.record.keys) or {})
    except (ApiError, SourceError) as error:
        words = error.message if isinstance(error, ApiError) else error.args[0]
        raise TailraceError(f"The item cannot be read: {words}", hint="tailrace status") from error
    then, present = image(letter.record.new) or {}, now or {}
    return {
        **await entry_value(subject.state, mapping, letter),
        "then": image(letter.record.new),
        "now": now,
        "changed": {
            name: [then.get(name), present.get(name)]
            for name in sorted({**then, **present})
            if then.get(name) != present.get(name)
        },
    }


async def find(subject: Subject, arguments: Arguments) -> tuple[MappingName, DeadLetter]:
    """The letter that is meant. Raises: TailraceError."""
    wanted = arguments.get("event_id")
    matches = [
        (mapping, letter)
        for mapping in await _named_mappings(subject, arguments)
        async for letter in letters(subject.state, mapping.app, mapping.handler)
        if letter.event_id == wanted
    ]
    if not matches:
        raise TailraceError(f"No dead letter has the event id {wanted!r}.", hint="tailrace dlq ls")
    if len(matches) > 1:
        names = ", ".join(mapping.handler for mapping, _ in matches)
        raise TailraceError(
            f"Several handlers have given up this change: {names}.",
            hint=f"add --handler {matches[0][0].handler}",
        )
    return matches[0]


# ---- what changes something --------------------------------------------------------------------------------


@verb_of_values("dlq.redrive", changes=True, works_offline=True, works_afar=True)
async def dlq_redrive(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, where, rate, even_if_overtaken, dry_run. Answers progress, then how it ended."""
    async for value in _carry_out(subject, arguments, drop=False):
        yield value


@verb_of_values("dlq.drop", changes=True, works_offline=True, works_afar=True)
async def dlq_drop(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, where, with_waiting (also drop what waits behind a change), dry_run."""
    async for value in _carry_out(subject, arguments, drop=True):
        yield value


async def _carry_out(subject: Subject, arguments: Arguments, *, drop: bool) -> AsyncGenerator[object, None]:
    mapping, choice = await named(subject, arguments), choice_of(arguments)
    rate = arguments.get("rate")
    interval_ms(rate)
    request = RedriveRequest(
        f"{subject.clock.now().wall_ms}-{await subject.state.count(AUDIT.prefix())}",
        mapping.handler,
        choice,
        rate,
        bool(arguments.get("even_if_overtaken")),
        drop,
        bool(arguments.get("with_waiting")),
    )
    redriver = redriver_of(subject, mapping.app)
    meant = await redriver.plan(request)
    plan = {
        "handler": mapping.handler,
        "parked_keys": len(meant.keys),
        "parked_changes": meant.changes,
        "discarded": len(meant.letters),
        "overtaken": meant.overtaken,
        "dry_run": bool(arguments.get("dry_run")),
    }
    yield {**plan, "state": "planned"}
    if arguments.get("dry_run") or not (meant.keys or meant.letters):
        return
    if not is_running(subject, mapping):
        if drop and not subject.is_far:
            progress = Progress()
            await redriver.carry_out(request, progress)
            yield {**plan, **structs.asdict(progress), "state": "finished"}
            return
        await redriver.note(request)
        yield {**plan, "state": "requested"}
        return
    if subject.worker is not None:
        await subject.worker.begun()
    async for value in _watch(subject, request):
        yield {**plan, **value}


async def _watch(subject: Subject, request: RedriveRequest) -> AsyncGenerator[dict[str, Any], None]:
    assert subject.worker is not None
    progress = Progress()
    task = subject.worker.redrive(request, progress)
    while not task.done():
        await asyncio.wait({task}, timeout=TELL_S)
        yield {**structs.asdict(progress), "state": "running"}
    yield {**structs.asdict(progress), "state": "finished"}


def is_running(subject: Subject, mapping: MappingName) -> bool:
    """Whether the handler's code is here."""
    return subject.worker is not None and mapping.handler in subject.worker.sinks


def redriver_of(subject: Subject, app: str) -> Redriver:
    """Who chooses and drops; what delivers is the worker's own."""
    return Redriver(app, subject.state, subject.clock, None, {})
