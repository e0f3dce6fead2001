"""The `explain` verb: what reaches a handler, and what pattern and residual save of the kept changes.

Rules of this file: it only reads. The app is the one that runs here; without a server the command line brings
it. Long logs are read in slices, and the loop is given back between them. Registered by `verbs`.
"""

from typing import Any

from tailrace.app.app import App
from tailrace.app.explain import Traffic, lets_through
from tailrace.errors import SettingsError, TailraceError
from tailrace.ports import LogReader
from tailrace.server.control import Arguments, Subject, verb
from tailrace.views.story import all_shards, records_of


@verb("explain")
async def explain(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler."""
    if subject.worker is None:
        raise TailraceError(
            "No app runs here, so its handlers are not known.", hint="tailrace explain HANDLER --app app.py"
        )
    return await explained(subject.reading.log, subject.worker.app, str(arguments.get("handler")))


async def explained(log: LogReader, app: App, handler: str) -> dict[str, Any]:
    """An explanation with its traffic, as JSON. Raises: TailraceError."""
    try:
        explanation = app.explain(handler)
    except SettingsError as error:
        raise TailraceError(str(error.args[0]), hint="tailrace status   (lists the handlers)") from error
    mapping = next(mapping for mapping in app.mappings if mapping.id == explanation.handler)
    passes = lets_through(explanation.patterns)
    accepts, is_filtered = mapping.settings.accepts, bool(mapping.settings.filters)
    seen = passed = wanted = 0
    async for _, _, shard in all_shards(log, mapping.table.source):
        async for record in records_of(log, shard):
            seen += 1
            passed += (is_passed := passes(record))
            wanted += (is_passed or not is_filtered) and (accepts is None or accepts(record))
    return explanation.value(Traffic(seen, passed, wanted))
