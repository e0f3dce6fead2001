"""One look at a running node: what `/metrics` and `/ready` are views of.

Rules of this file: it gathers, `observe` decides and words. Progress counts for handlers that run here: one that does
not run cannot be stuck. Called by `compose.Node` for each scrape.
"""

from collections.abc import Callable, Iterator, Mapping

from tailrace.runtime.tally import Tally
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Subject
from tailrace.server.gaps import gap_age_ms, open_gaps
from tailrace.server.http import HttpServer
from tailrace.server.letters import kept
from tailrace.server.observe import Durations, HandlerTotals, Observed, ShardProgress
from tailrace.server.progress import positions, tables, totals
from tailrace.server.verbs import live_status, mappings, table_value, windows_of


def observed(
    subject: Subject,
    http: HttpServer,
    version: str,
    functions: Callable[[], Mapping[str, Tally]] | None = None,
) -> Observed:
    """A node at this moment."""
    return Observed(
        version=version,
        progress=[each for mapping in mappings(subject) for each in shard_progress(subject, mapping)],
        handlers=[handler_totals(subject, mapping) for mapping in mappings(subject)],
        requests=http.requests,
        shards=shard_counts(subject),
        functions={} if functions is None else functions(),
        commits=http.turns.commits,
        commit_error=http.turns.commit_error,
        retention_ms=subject.engine.settings.retention_ms,
    )


def shard_progress(subject: Subject, mapping: MappingName) -> Iterator[ShardProgress]:
    """How a handler that runs here stands in each shard."""
    now = subject.clock.now()
    live = {each.shard_id: each for each in live_status(subject, mapping)}
    if not live:
        return
    for each in positions(subject.engine, [mapping]):
        seen = live.get(each.shard.shard_id)
        oldest = each.oldest
        yield ShardProgress(
            handler=mapping.handler,
            table=mapping.table,
            shard=each.shard.shard_id,
            oldest_unsettled_ms=None if oldest is None else max(0, now.wall_ms - oldest.created_ms),
            still_ms=0 if seen is None else max(0, now.monotonic_ms - seen.last_progress_ms),
        )


def handler_totals(subject: Subject, mapping: MappingName) -> HandlerTotals:
    """What a handler has come to, running or not."""
    settled = totals(subject.engine, mapping)
    there = kept(subject.engine, mapping.app, mapping.handler)
    now_ms = subject.clock.now().wall_ms
    sink = None if subject.worker is None else subject.worker.sinks.get(mapping.handler)
    tally = Tally() if sink is None else sink.tally
    windows = windows_of(subject, mapping.handler)
    guards = getattr(subject.worker, "guards", None)
    return HandlerTotals(
        handler=mapping.handler,
        table=mapping.table,
        settled=settled,
        duplicates=tally.suppressed,
        dead_letters=there.discarded + there.parked,
        parked_keys=there.parked_keys,
        own_changes=0 if guards is None else guards.own.get(mapping.handler, 0),
        open_windows=0 if windows is None else windows.open,
        late_changes=0 if windows is None else windows.late,
        open_gaps=len(open_gaps(subject.engine, mapping)),
        gap_age_ms=gap_age_ms(subject.engine, mapping),
        parked_oldest_ms=0 if there.oldest_parked_ms is None else max(0, now_ms - there.oldest_parked_ms),
        durations=Durations(tally.buckets(), tally.total_ms / 1_000),
        tally=tally,
    )


def shard_counts(subject: Subject) -> Mapping[tuple[str, str], int]:
    """Shards of the present streams by table and state."""
    return {
        (table, state): count
        for table in tables(subject.engine)
        for state, count in table_value(subject.engine, table)["shards"].items()
    }
