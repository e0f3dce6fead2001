"""The `dlq` verbs: look at dead letters and parked keys, put them back, drop them.

Rules of this file: a redrive and a drop are rows before they are done, so that a restart goes on with them; without a server a redrive
waits there for the next start of the app, because it needs the handler. Every answer is JSON. Registered by `verbs`.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Any

from tailrace.deadletters.entry import DeadLetter
from tailrace.deadletters.lost_window import lost_window_prefix, read_lost_window
from tailrace.deadletters.redrive import Choice, Groups, fingerprint, interval_ms, item_words, read_choice
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore
from tailrace.errors import ApiError, TailraceError
from tailrace.rows.kinds import AUDIT
from tailrace.runtime.redriver import Progress, Redriver, Request
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import declared, named
from tailrace.server.letters import is_parked, letter_value, letters, overtaken_by, paged
from tailrace.server.tail import change_value
from tailrace.streams.record import image
from tailrace.streams.sequence import SequenceNumber

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


def entry_value(engine: Engine, mapping: MappingName, letter: DeadLetter) -> dict[str, Any]:
    """One letter, for a list."""
    overtaken = overtaken_by(engine, mapping.app, letter)
    return {
        "event_id": letter.event_id,
        "handler": letter.handler,
        "table": letter.table or mapping.table,
        "key": item_words(letter),
        "sequence_number": letter.record.sequence_number.wire,
        "event_name": letter.record.event_name,
        "state": "waiting" if letter.is_waiting else "parked" if is_parked(engine, mapping.app, letter) else "discarded",
        "fingerprint": "" if letter.is_waiting else fingerprint(letter),
        "overtaken_by": None if overtaken is None else SequenceNumber(overtaken).wire,
        **letter_value(letter),
    }  # fmt: skip


@verb("dlq.ls")
async def dlq_ls(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler (None: all), where. Answers the groups that look alike, how many letters there are and how many of them only wait, and how long the longest name of an item is; then the letters in pages.

    The windows that a function was given up on in their final invoke come last, one by one, unless `where` chooses among changes.
    """
    choice, engine = choice_of(arguments), subject.engine
    mappings = declared(subject) if arguments.get("handler") is None else [named(subject, arguments)]
    groups: list[dict[str, Any]] = []
    count = waiting = longest = 0
    for mapping in mappings:
        found = await _grouped(engine, mapping, choice)
        groups += [
            {"handler": mapping.handler, "fingerprint": words, **asdict(group)}
            for words, group in found.largest_first()
        ]
        count += found.letters
        waiting += found.waiting
        longest = max(longest, found.longest_item(mapping.table))
    windowed = [] if arguments.get("where") else mappings
    lost = sum(engine.state_count(lost_window_prefix(each.app, each.handler)) for each in windowed)
    yield {
        "groups": groups,
        "count": count,
        "waiting": waiting,
        "longest_item": longest,
        "lost_windows": lost,
    }
    for mapping in mappings:
        async for page in paged(letters(engine, mapping.app, mapping.handler)):
            if values := [entry_value(engine, mapping, each) for each in page if is_meant(choice, each)]:
                yield {"letters": values}
    for mapping in windowed:
        for row in engine.state_rows(lost_window_prefix(mapping.app, mapping.handler), 1):
            yield {"windows": [asdict(read_lost_window(row.fields))]}


async def _grouped(engine: Engine, mapping: MappingName, choice: Choice) -> Groups:
    groups = Groups()
    async for page in paged(letters(engine, mapping.app, mapping.handler)):
        for letter in page:
            if is_meant(choice, letter):
                groups.add(letter)
    return groups


@verb("dlq.show")
async def dlq_show(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: event_id, handler (None: whichever has it). Answers the whole letter, and what waits behind it."""
    mapping, letter = await find(subject, arguments)
    yield {**whole(subject.engine, mapping, letter), "behind": behind(subject.engine, mapping, letter)}


@verb("dlq.diff")
async def dlq_diff(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: event_id, handler. Answers the letter beside the item as it is now."""
    mapping, letter = await find(subject, arguments)
    table = letter.table or mapping.table
    if letter.is_of_window:
        raise TailraceError(
            "This is a window whose handler failed: there is no item beside it. Put back, it is told as it is then.",
            hint=f"tailrace dlq redrive {mapping.handler}",
        )
    try:
        now = subject.engine.get(table, image(letter.record.keys) or {})
    except ApiError as error:
        raise TailraceError(f"The item cannot be read: {error.message}", hint="tailrace status") from error
    then, present = image(letter.record.new) or {}, now or {}
    yield {
        **entry_value(subject.engine, mapping, letter),
        "then": image(letter.record.new),
        "now": now,
        "changed": {
            name: [then.get(name), present.get(name)]
            for name in sorted({**then, **present})
            if then.get(name) != present.get(name)
        },
    }


def whole(engine: Engine, mapping: MappingName, letter: DeadLetter) -> dict[str, Any]:
    """Everything that is kept of a change."""
    change = change_value(letter.record, letter.table or mapping.table, letter.shard_id)
    return {**change, **entry_value(engine, mapping, letter)}


def behind(engine: Engine, mapping: MappingName, letter: DeadLetter) -> list[dict[str, Any]]:
    """The later changes of the item that wait behind a parked one."""
    return [
        change_value(each.record, each.table or mapping.table, each.shard_id)
        for each in letters(engine, mapping.app, mapping.handler, letter.record.key)
        if each.record.sequence > letter.record.sequence and each.is_waiting
    ]


async def find(subject: Subject, arguments: Arguments) -> tuple[MappingName, DeadLetter]:
    """The letter that is meant. Raises: TailraceError."""
    wanted = arguments.get("event_id")
    mappings = declared(subject) if arguments.get("handler") is None else [named(subject, arguments)]
    found = [
        (mapping, letter)
        for mapping in mappings
        async for page in paged(letters(subject.engine, mapping.app, mapping.handler))
        for letter in page
        if letter.event_id == wanted
    ]
    if not found:
        raise TailraceError(f"No dead letter has the event id {wanted!r}.", hint="tailrace dlq ls")
    if len(found) > 1:
        names = ", ".join(mapping.handler for mapping, _ in found)
        raise TailraceError(
            f"Several handlers have given up this change: {names}.",
            hint=f"add --handler {found[0][0].handler}",
        )
    return found[0]


# ---- what changes something ----------------------------------------------------------------------------------------


@verb("dlq.redrive", changes=True, works_offline=True)
async def dlq_redrive(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, where, rate, even_if_overtaken, dry_run. Answers progress, then how it ended."""
    async for value in _carry_out(subject, arguments, drop=False):
        yield value


@verb("dlq.drop", changes=True, works_offline=True)
async def dlq_drop(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, where, with_waiting, dry_run. What waits behind a dropped change stays, unless with_waiting."""
    async for value in _carry_out(subject, arguments, drop=True):
        yield value


async def _carry_out(subject: Subject, arguments: Arguments, *, drop: bool) -> AsyncGenerator[object, None]:
    mapping, choice = named(subject, arguments), choice_of(arguments)
    rate = arguments.get("rate")
    interval_ms(rate)
    request = Request(
        f"{subject.clock.now().wall_ms}-{subject.engine.state_count(AUDIT.prefix())}", mapping.handler, choice, rate,
        bool(arguments.get("even_if_overtaken")), drop, bool(arguments.get("with_waiting")),
    )  # fmt: skip
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
        if drop:
            progress = Progress()
            await redriver.carry_out(request, progress)
            yield {**plan, **asdict(progress), "state": "finished"}
            return
        await redriver.note(request)
        yield {**plan, "state": "requested"}
        return
    if subject.worker is not None:
        await subject.worker.begun()
    async for value in _watch(subject, request):
        yield {**plan, **value}


async def _watch(subject: Subject, request: Request) -> AsyncGenerator[dict[str, Any], None]:
    assert subject.worker is not None
    progress = Progress()
    task = subject.worker.redrive(request, progress)
    while not task.done():
        await asyncio.wait({task}, timeout=TELL_S)
        yield {**asdict(progress), "state": "running"}
    yield {**asdict(progress), "state": "finished"}


def is_running(subject: Subject, mapping: MappingName) -> bool:
    """Whether the handler's code is here."""
    return subject.worker is not None and mapping.handler in subject.worker.sinks


def redriver_of(subject: Subject, app: str) -> Redriver:
    """Somebody who chooses and drops; what delivers is the worker's own."""

    async def flushed() -> None:
        if subject.flushed is not None:
            await subject.flushed()

    return Redriver(app, EngineStateStore(subject.engine, flushed), subject.clock, None, {})
