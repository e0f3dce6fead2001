"""The `why` verb: the story of one change, or of the last changes of one item.

Rules of this file: it reads what is asked for and names what is not there; the story is a view
(views/story.py). Registered by `verbs`. Value: {"changes": [change + "handlers": […]], "older": count}.
Stands alone as every family of verbs does.
"""

from collections.abc import Iterable

from tailrace.errors import TailraceError
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.why_targets import EventTarget, KeyTarget, read_target
from tailrace.tables.schema import TableSchema
from tailrace.views.story import LocatedChange, find_event, last_changes, story


@verb("why", works_afar=True)
async def why(subject: Subject, arguments: Arguments) -> object:
    """Arguments: what (an event id or a key), last (how many changes of a key)."""
    what, last = arguments.get("what"), arguments.get("last", 3)
    if not isinstance(what, str) or not isinstance(last, int) or not 1 <= last <= 100:
        raise TailraceError("`why` needs an event id or a key.", hint="tailrace why TABLE/KEY")
    reading, schemas = subject.reading, await subject.schemas()
    target = read_target(what, schemas)
    match target:
        case EventTarget(wanted):
            changes, older = [await find_event(reading, wanted)], 0
        case KeyTarget():
            changes, older = await find_key(subject, target, schemas, last)
    return {"changes": [await story(reading, change) for change in changes], "older": older}


async def find_key(
    subject: Subject, target: KeyTarget, schemas: Iterable[TableSchema], last: int
) -> tuple[list[LocatedChange], int]:
    """The last changes of an item, oldest first, and how many older ones there are. Raises: TailraceError."""
    schema = next(schema for schema in schemas if schema.name == target.table)
    key, partition = schema.key_bytes(target.key), schema.partition(target.key)
    newest, older = await last_changes(subject.reading, target.table, key, partition, last)
    if not newest:
        is_there = await subject.item(target.table, target.key) is not None
        exists = "the item is there" if is_there else "there is no such item now"
        raise TailraceError(
            f"No change of this item is kept: {exists}, and a stream keeps its changes for 24 hours.",
            hint=f"tailrace tail {target.table} --from-start   (shows those that are kept)",
        )
    return newest, older
