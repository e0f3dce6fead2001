"""What Lambda can give an app's handlers, and what it cannot: refused, or said in words.

Theory of operation: a function lives as long as a batch. What has to go on between batches (a window that
closes when nothing comes, a projection that is built and compared) has nobody to do it, so it is refused.
What only means something else (a back-off longer than an invocation, a wait for a fuller batch) is fitted,
and told by `tailrace explain --on lambda`.
Rules of this file: pure. `judge` is what `explain` prints and what the entry refuses by: one list.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.app.mapping import HandlerMapping
from tailrace.entry.events import SHARD
from tailrace.errors import SettingsError
from tailrace.mapping.retry import delay_ms
from tailrace.mapping.settings import INFINITE, Backoff, MappingSettings
from tailrace.ports import Versioned

Word: TypeAlias = Literal["refused", "differs"]
PATIENCE_MS: Final = 5_000
"""How long a batch waits for failing changes within an invocation: Lambda bills it, and the shard waits."""
MOST_ATTEMPTS: Final = 50
"""Of a back-off that does not wait at all."""
HANDLERS: Final = "TAILRACE_HANDLERS"
"""The environment variable that names the handlers which this function runs, with commas; all without it."""
STATE: Final = "TAILRACE_STATE"
"""The environment variable that names the state table: `dynamodb:TABLE`."""


class Verdict(Struct, frozen=True):
    """What is to be known of one handler on Lambda. Shape: `says` is a sentence."""

    handler: str
    word: Word
    says: str


def judge(app: App, *, keeps: bool) -> list[Verdict]:
    """Everything that Lambda refuses or does otherwise, handler by handler. Shape: `keeps`: there is a state
    table.
    """
    return [verdict for mapping in app.mappings for verdict in verdicts_of(app, mapping, keeps=keeps)]


def verdicts_of(app: App, mapping: HandlerMapping, *, keeps: bool) -> Iterator[Verdict]:
    """The verdicts about one handler, refusals first."""
    for rules, word in ((REFUSALS, "refused"), (DIFFERENCES, "differs")):
        said = (rule(app, mapping, keeps) for rule in rules)
        yield from (Verdict(mapping.id, word, says) for says in said if says is not None)  # type: ignore[arg-type]


def chosen(app: App, environment: Mapping[str, str], *, keeps: bool) -> list[HandlerMapping]:
    """The handlers that a function runs. Raises: SettingsError naming those that Lambda refuses, and why."""
    said = environment.get(HANDLERS, "")
    wanted = [name.strip() for name in said.split(",") if name.strip()]
    known = {mapping.id: mapping for mapping in app.mappings}
    if missing := [name for name in wanted if name not in known]:
        raise SettingsError(
            f"{HANDLERS}: {missing[0]!r} is no handler of app {app.name!r}; declared so far: "
            f"{', '.join(known) or 'none'}"
        )
    mappings = [known[name] for name in wanted] if wanted else list(known.values())
    refused = [
        verdict
        for mapping in mappings
        for verdict in verdicts_of(app, mapping, keeps=keeps)
        if verdict.word == "refused"
    ]
    if refused:
        words = "; ".join(f"{verdict.handler}: {verdict.says}" for verdict in refused)
        raise SettingsError(
            f"app {app.name!r} cannot run on Lambda as it is: {words}",
            hint=f"{HANDLERS}=… names the handlers that this function runs; "
            "tailrace explain --on lambda APP.PY says all of it",
        )
    return mappings


# ---- what is refused ---------------------------------------------------------------------------------------


def _projection(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.kind != "projection":
        return None
    return (
        "a projection is filled from the table, built beside the one that is served and compared with its "
        "items, which takes a worker that stays"
    )


def _snapshot(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if not mapping.snapshot:
        return None
    return (
        "snapshot=True reads the table beside the stream, for as long as that takes, and all readers of the "
        "stream agree on resets, which takes workers that stay"
    )


def _window(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.kind != "window":
        return None
    return (
        "a window of event time is told when it is over, also when no change comes any more, and a function "
        "is called with changes only"
    )


def _function(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.kind != "function":
        return None
    return (
        "it is a function with an event source mapping of its own: Lambda calls it without this entry, by "
        "the settings that app.function gives it"
    )


def _whole_shard(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.settings.order != "shard":
        return None
    return "order='shard' goes on from a position of its own in a shard, and on Lambda that is the mapping's"


def _hidden_images(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.table.is_data or mapping.table.stream == "NEW_AND_OLD_IMAGES":
        return None
    return (
        f"the stream of {mapping.table.name} is declared with {mapping.table.stream}, and an event shows no "
        "more than that: its view type must be NEW_AND_OLD_IMAGES"
    )


def _once(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if not mapping.once or keeps or app.remote is not None:
        return None
    return f"once=True marks each change, and there is no table for marks: set {STATE}=dynamodb:TABLE"


def _versions(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    sink: object = mapping.sink
    if keeps or app.remote is not None or not isinstance(sink, Versioned):
        return None
    return (
        f"{type(sink).__name__} keeps versions beside its rows, and the numbers of the table's "
        f"streams are kept in the state: set {STATE}=dynamodb:TABLE"
    )


def _destination(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.destination is None or keeps:
        return None
    return (
        "Discard(to=…) tells its destination of dead letters, and there is no table to keep them: set "
        f"{STATE}=dynamodb:TABLE, or give the event source mapping an OnFailure destination"
    )


# ---- what is otherwise -------------------------------------------------------------------------------------


def _without_state(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if keeps:
        return None
    return (
        "there is no state table, so nothing can be parked: a change that fails is answered as a batch item "
        "failure, Lambda sends the batch again from there on, what was handled after it is handled again, "
        f"and the mapping's own attempts and age decide when it is lost. {STATE}=dynamodb:TABLE parks it"
    )


def _attempts(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    before, after = mapping.settings.maximum_retry_attempts, fitted(mapping.settings, keeps=keeps)
    if mapping.settings.on_failure == "block" or before == after.maximum_retry_attempts:
        return None
    asked = "without end" if before == INFINITE else f"{before} times"
    then = {
        "park": "then it is parked, and app.lambda_redriver tries it again",
        "discard": "then it is a dead letter, and app.lambda_redriver tries it again",
        "drop": "then it is dropped, earlier than elsewhere",
    }[mapping.settings.on_failure]
    if not keeps and mapping.settings.on_failure != "drop":
        then = "then it is left to Lambda"
    return (
        f"a failing change would be tried again {asked}; an invocation has no long back-off, so it is "
        f"{after.maximum_retry_attempts} times within {PATIENCE_MS // 1_000} s: {then}"
    )


def _age(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if keeps or mapping.settings.maximum_record_age_ms == INFINITE:
        return None
    return (
        "maximum_record_age_ms is not looked at without a state table, for what is too old could not be "
        "kept: give the mapping MaximumRecordAgeInSeconds"
    )


def _batches(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if not mapping.settings.batching_window_ms:
        return None
    return (
        "batching_window_ms waits for nothing here: Lambda fills batches before it calls, by "
        f"MaximumBatchingWindowInSeconds={-(-mapping.settings.batching_window_ms // 1_000)} of the mapping"
    )


def _position(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if not mapping.settings.starts_at_end:
        return None
    return "it begins where the mapping does: give that StartingPosition=LATEST"


def _discarded(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.settings.on_failure != "discard" or not keeps:
        return None
    return (
        "a dead letter waits to be put back until every batch is over that was under way when "
        "app.lambda_redriver saw it: 15 minutes, or longest_batch_s in the event of its schedule. What comes "
        "of its item meanwhile is parked behind it"
    )


def _told(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.destination is None:
        return None
    return (
        "its destination is told of dead letters when the schedule calls app.lambda_redriver next, and of a "
        f"shard that is called {SHARD}LABEL, for Lambda does not name it"
    )


def _loops(app: App, mapping: HandlerMapping, keeps: bool) -> str | None:
    if mapping.only_counts:
        return None
    return (
        "an event does not say what its changes descend from, so a handler that calls itself without end is "
        "not stopped"
    )


Rule: TypeAlias = Callable[[App, HandlerMapping, bool], str | None]
REFUSALS: Final[tuple[Rule, ...]] = (
    _projection, _snapshot, _window, _function, _whole_shard, _hidden_images, _once, _versions, _destination,
)  # fmt: skip
DIFFERENCES: Final[tuple[Rule, ...]] = (
    _without_state, _attempts, _age, _batches, _position, _discarded, _told, _loops,
)  # fmt: skip


# ---- what is fitted ----------------------------------------------------------------------------------------


def fitted(settings: MappingSettings, *, keeps: bool, patience_ms: int = PATIENCE_MS) -> MappingSettings:
    """A handler's settings as they hold within an invocation. Shape: `keeps`: what fails can be parked."""
    asked, fits = settings.maximum_retry_attempts, attempts_within(settings.backoff, patience_ms)
    changes: dict[str, Any] = {
        "maximum_retry_attempts": fits if asked == INFINITE else min(asked, fits),
        "batching_window_ms": 0,
        "checkpoint_interval_ms": 0,
    }
    if not keeps:
        on_failure = "park" if settings.on_failure == "discard" else settings.on_failure
        changes |= {"on_failure": on_failure, "maximum_record_age_ms": INFINITE}
    return replace(settings, **changes)


def attempts_within(backoff: Backoff, patience_ms: int) -> int:
    """How often a change can be tried again so that its waits together fit.

    >>> attempts_within(Backoff(), 3_000), attempts_within(Backoff(), 2_999)
    (2, 1)
    """
    waited = attempts = 0
    while attempts < MOST_ATTEMPTS and (waited := waited + delay_ms(backoff, attempts + 1)) <= patience_ms:
        attempts += 1
    return attempts


def mapping_settings(mappings: Iterable[HandlerMapping]) -> dict[str, Any]:
    """What the event source mapping of a table is to be made with, for these handlers of it."""
    every = [mapping.settings for mapping in mappings]
    window_ms = max((settings.batching_window_ms for settings in every), default=0)
    return {
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1,
        "BatchSize": max((settings.batch_size for settings in every), default=100),
        "MaximumBatchingWindowInSeconds": -(-window_ms // 1_000),
        "StartingPosition": "LATEST"
        if every and all(settings.starts_at_end for settings in every)
        else "TRIM_HORIZON",
    }
