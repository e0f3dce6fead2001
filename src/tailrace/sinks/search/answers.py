"""What a server's answers mean: of one action in a bulk request, and of a whole request.

Theory of operation: a bulk request is answered with 200 also when none of its actions was done; each has a
status and an error of its own. What is about a document is a refusal of that record, for good; what is about
the cluster, the index or us is an outage and uses up no attempt; a conflict is read again.
Rules of this file: pure. The kind of error is looked at before the status: a blocked index answers 403 or
429. Source: reference analytics §3.2.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.errors import Refused, SinkError, SinkOutage, Throttled, Unavailable
from tailrace.mapping.outcomes import Failure, FailureKind

WORDS: Final = 500
"""So much of an answer that is no JSON is told. Units: characters."""
BUSY: Final = frozenset(
    ("circuit_breaking_exception", "es_rejected_execution_exception", "rejected_execution_exception")
)
BLOCKED: Final = "cluster_block_exception"
NO_INDEX: Final = "index_not_found_exception"
DENIED: Final = frozenset(("security_exception", "authorization_exception"))
AWAY: Final = frozenset(
    ("index_closed_exception", "no_shard_available_action_exception", "unavailable_shards_exception")
)
NO_ROOM: Final = "Limit of total fields"
OF_THE_INDEX: Final = (
    NO_ROOM,
    "Limit of mapping depth",
    "no write index is defined",
    "Number of documents in the index",
)
"""Begins of 400s that are no document's fault, though they say `illegal_argument_exception`."""
HINTS: Final[Mapping[str, str]] = {
    BLOCKED: "make room on the cluster's disks, or lift the block: PUT /INDEX/_settings "
    '{"index.blocks.read_only_allow_delete": null}; delivery goes on by itself',
    NO_INDEX: "the index or its aliases are gone: bring them back from a snapshot of the cluster, or start "
    "again to make them empty and fill them by a new snapshot of the table",
    NO_ROOM: 'PUT /INDEX/_settings {"index.mapping.total_fields.limit": MORE} (most_fields= is for a new '
    'index), or declare maps with many names in mapping= as {"type": "object", "enabled": false}',
}
WHO: Final = "check basic=, api_key= or access= of the sink, and what this user may do with the index"


class ActionResult(Enum):
    """What becomes of a guarded write."""

    DONE = "DONE"
    CONFLICT = "CONFLICT"
    GONE = "GONE"
    """A deletion of what is not there: done, by somebody else."""
    FAILED = "FAILED"


class ItemAnswer(Struct, frozen=True):
    """What is told of one action. Shape: `failure` where it failed."""

    result: ActionResult
    failure: Failure | None = None


class RequestTooLarge(Exception):
    """A body above what the server, or a proxy before it, takes."""


DONE: Final = ItemAnswer(ActionResult.DONE)
CONFLICT: Final = ItemAnswer(ActionResult.CONFLICT)
GONE: Final = ItemAnswer(ActionResult.GONE)


def item_answer(action: str, answer: Mapping[str, Any]) -> ItemAnswer:
    """What one entry of a bulk answer means.

    >>> item_answer("index", {"status": 409, "error": {"type": "version_conflict_engine_exception"}}).result
    <ActionResult.CONFLICT: 'CONFLICT'>
    """
    status, error = answer["status"], answer.get("error")
    if error is None and status < 300:
        return DONE
    if error is None and action == "delete" and status == 404:
        return GONE
    if status == 409:
        return CONFLICT
    return ItemAnswer(ActionResult.FAILED, failure_of(status, error))


def failure_of(status: int, error: Any, retry_after_s: int = 0) -> Failure:
    """An error of one action, or of a request, as the machine takes it."""
    kind = str(error.get("type", "")) if isinstance(error, Mapping) else ""
    reason = words_of(error)
    wait_ms = retry_after_s * 1_000
    text = f"{status} {reason}"
    about_index = next((begin for begin in OF_THE_INDEX if begin in reason), None)
    if kind in HINTS or about_index is not None:
        return _outage(text, HINTS.get(about_index or kind, ""), wait_ms)
    if kind in BUSY or status == 429:
        return Failure(FailureKind.THROTTLED, text, retry_after_ms=wait_ms)
    if status in (401, 403, 407) or kind in DENIED:
        return _outage(text, WHO, wait_ms)
    if status in (404, 502, 503, 504) or kind in AWAY:
        return _outage(text, "", wait_ms)
    return Failure(FailureKind.RECORD, text, retry_after_ms=wait_ms, final=status in (400, 413))


def _outage(text: str, hint: str, wait_ms: int) -> Failure:
    words = f"{text}\n  next: {hint}" if hint else text
    return Failure(FailureKind.UNAVAILABLE, words, retry_after_ms=wait_ms)


def words_of(error: Any) -> str:
    """An error in the server's words, with what caused it.

    >>> words_of({"type": "mapper_parsing_exception", "reason": "bad", "caused_by": {"reason": "no date"}})
    'mapper_parsing_exception: bad: no date'
    """
    if not isinstance(error, Mapping):
        return str(error)
    words = [str(error.get("type", "error"))]
    cause: Any = error
    while isinstance(cause, Mapping):
        if (reason := cause.get("reason")) and str(reason) not in words:
            words.append(str(reason))
        cause = cause.get("caused_by")
    return ": ".join(words)


# ---- whole answers -----------------------------------------------------------------------------------------


def read_answer(call: str, status: int, retry_after: str, body: bytes) -> dict[str, Any]:
    """The members of a whole answer that says yes; 404 of what may be missing is the caller's to ask first.

    Shape:   `call` names server and request; `retry_after` is the header.
    Raises:  RequestTooLarge, Throttled, Unavailable, Refused, SinkError. An answer that is cut off is
             Unavailable: whether it was done is unknown, and asking again harms nothing.
    """
    try:
        members = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        if status < 300 or body.startswith(b"{"):
            raise Unavailable(f"{call}: the answer ({status}) is cut off: {error}") from error
        members = body[:WORDS].decode("utf-8", "replace").strip()
    if status < 300:
        if not isinstance(members, dict):
            raise Unavailable(f"{call}: the answer is no JSON object")
        return members
    if status == 413:
        raise RequestTooLarge(call)
    told = members.get("error", members) if isinstance(members, dict) else members
    told = told or "without a reason"
    raise raised_of(call, failure_of(status, told, int(retry_after) if retry_after.isdecimal() else 0))


def raised_of(call: str, failure: Failure) -> SinkError:
    """A failure as the error that says the same."""
    text, wait_s = f"{call}: {failure.error}", failure.retry_after_ms / 1_000
    if failure.kind is FailureKind.THROTTLED:
        return Throttled(text, retry_after=wait_s)
    if failure.kind is FailureKind.UNAVAILABLE:
        return Unavailable(text, retry_after=wait_s)
    return Refused(text) if failure.final else SinkError(text)


def failure_as(error: SinkOutage) -> Failure:
    """An outage as the failure of the records that it met."""
    is_busy = isinstance(error, Throttled)
    return Failure(
        FailureKind.THROTTLED if is_busy else FailureKind.UNAVAILABLE,
        str(error),
        retry_after_ms=error.retry_after_ms,
    )


def bulk_items(call: str, answer: Mapping[str, Any], actions: list[str], ids: list[str]) -> list[ItemAnswer]:
    """What became of each action, in order. Raises: Unavailable where the answer is not of these."""
    items = answer.get("items")
    if not isinstance(items, list) or len(items) != len(ids):
        raise Unavailable(f"{call}: asked for {len(ids)} actions, the answer is of another request")
    answers = []
    for item, action, asked in zip(items, actions, ids, strict=True):
        entry = item.get(action, {})
        if entry.get("_id") != asked or not isinstance(entry.get("status"), int):
            raise Unavailable(f"{call}: the answer does not say what became of document {asked!r}")
        answers.append(item_answer(action, entry))
    return answers


def whole_hits(call: str, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hits of a search that every shard answered. Raises: Unavailable for a part of them."""
    shards = answer.get("_shards", {})
    if answer.get("timed_out") or shards.get("failed"):
        raise Unavailable(f"{call}: only a part of the index answered: {shards}")
    try:
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
    except (KeyError, TypeError) as error:
        raise Unavailable(f"{call}: the answer has no hits") from error
    return hits
