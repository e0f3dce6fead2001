"""Indices, documents and their versions: what every request of the cluster in memory does.

Theory of operation: a write raises the index's sequence number; its document keeps that, a version and a
primary term. A deletion leaves a tombstone with its version for `index.gc_deletes`, 60 seconds of virtual
time (`advance`): until then an older external version conflicts, afterwards it is taken. Reads by id see
every write, searches what was refreshed (`refresh`, `?refresh`; nothing refreshes by itself).
Rules of this file: no clock and no socket; errors are SearchError with the server's type. A lock makes a
request one step. Sources: "Index document", "Bulk", "Optimistic concurrency control", "Aliases" of the
documentation of OpenSearch, reference analytics §3.2.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tailrace.testing.search.matching import matches, shown, sort_key
from tailrace.testing.search.types import SearchError, check_document, illegal, merged

GC_DELETES_S: Final = 60.0
MOST_FIELDS: Final = 1_000
MOST_HITS: Final = 10_000
LONGEST_ID: Final = 512
TERM: Final = 1
EXTERNAL: Final = frozenset(("external", "external_gte"))


@dataclass(slots=True)
class SearchDocument:
    """A document, or the tombstone of one. Shape: `source` None is a tombstone, of virtual time `at_s`."""

    source: dict[str, Any] | None
    version: int
    sequence: int
    at_s: float = 0.0


@dataclass(slots=True)
class StoredIndex:
    """An index. Shape: `visible` is what searches see; `settings` without the word `index`."""

    settings: dict[str, Any]
    mapping: dict[str, Any]
    aliases: dict[str, dict[str, Any]] = field(default_factory=dict)
    documents: dict[str, SearchDocument] = field(default_factory=dict)
    visible: dict[str, SearchDocument] = field(default_factory=dict)
    sequence: int = -1

    @property
    def most_fields(self) -> int:
        """The limit of fields."""
        return int(self.settings.get("mapping.total_fields.limit", MOST_FIELDS))


class SearchCluster:
    """All indices, under one lock. Shape: `requests` are method and path of everything that was asked;
    `writes` what was done, as (action, id, source).
    """

    def __init__(self) -> None:
        self.indices: dict[str, StoredIndex] = {}
        self.requests: list[tuple[str, str]] = []
        self.writes: list[tuple[str, str, dict[str, Any] | None]] = []
        self.now_s = 0.0
        self.lock = threading.RLock()
        self.judge: Callable[[str, str, Any], SearchError | None] = lambda action, name, source: None
        """What refuses single actions, by action, id and source, before they are done; a test sets it."""

    def advance(self, seconds: float) -> None:
        """Let virtual time pass: tombstones above their age are gone."""
        with self.lock:
            self.now_s += seconds
            for index in self.indices.values():
                oldest = self.now_s - float(index.settings.get("gc_deletes_s", GC_DELETES_S))
                for own, document in list(index.documents.items()):
                    if document.source is None and document.at_s < oldest:
                        del index.documents[own]

    # ---- names ---------------------------------------------------------------------------------------------

    def indices_of(self, name: str) -> list[tuple[str, StoredIndex, dict[str, Any]]]:
        """The indices behind a name, with the alias's options. Raises: SearchError."""
        if name in self.indices:
            return [(name, self.indices[name], {})]
        behind = [
            (own, index, index.aliases[name]) for own, index in self.indices.items() if name in index.aliases
        ]
        if not behind:
            raise SearchError(404, "index_not_found_exception", f"no such index [{name}]")
        return behind

    def _one(self, name: str) -> tuple[str, StoredIndex]:
        behind = self.indices_of(name)
        if len(behind) > 1:
            raise illegal(f"no write index is defined for alias [{name}].")
        return behind[0][0], behind[0][1]

    def create(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an index. Raises: SearchError."""
        with self.lock:
            if name in self.indices:
                raise SearchError(400, "resource_already_exists_exception", f"index [{name}] already exists")
            if name != name.lower() or any(name in index.aliases for index in self.indices.values()):
                raise SearchError(400, "invalid_index_name_exception", f"Invalid index name [{name}]")
            settings = dict(body.get("settings", {}).get("index", body.get("settings", {})))
            index = StoredIndex(settings, {})
            index.mapping = merged({}, body.get("mappings", {}), index.most_fields)
            for alias, options in body.get("aliases", {}).items():
                self._check_alias(alias)
                index.aliases[alias] = dict(options)
            self.indices[name] = index
            return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def delete_index(self, name: str) -> dict[str, Any]:
        """Delete an index, with its aliases. Raises: SearchError."""
        with self.lock:
            if name not in self.indices:
                raise SearchError(404, "index_not_found_exception", f"no such index [{name}]")
            del self.indices[name]
            return {"acknowledged": True}

    def alias(self, actions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Add and remove aliases. Raises: SearchError."""
        with self.lock:
            for action in actions:
                ((kind, about),) = action.items()
                _, index = self._one(about["index"])
                if kind == "add":
                    self._check_alias(about["alias"])
                    index.aliases[about["alias"]] = {
                        name: value for name, value in about.items() if name not in ("index", "alias")
                    }
                else:
                    index.aliases.pop(about["alias"], None)
            return {"acknowledged": True}

    def _check_alias(self, name: str) -> None:
        if name in self.indices:
            raise SearchError(
                400,
                "invalid_alias_name_exception",
                f"Invalid alias name [{name}]: an index or data stream exists with the same name",
            )

    def put_mapping(self, name: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
        """Add to a mapping. Raises: SearchError."""
        with self.lock:
            _, index = self._one(name)
            index.mapping = merged(index.mapping, mapping, index.most_fields)
            return {"acknowledged": True}

    def put_settings(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Change settings; None takes one away. Raises: SearchError."""
        with self.lock:
            _, index = self._one(name)
            for key, value in settings.get("index", settings).items():
                if value is None:
                    index.settings.pop(key.removeprefix("index."), None)
                else:
                    index.settings[key.removeprefix("index.")] = value
            return {"acknowledged": True}

    # ---- documents -----------------------------------------------------------------------------------------

    def bulk(self, default: str, body: bytes) -> dict[str, Any]:
        """Do actions in their order. Returns: what became of each. Raises: SearchError for no NDJSON."""
        with self.lock:
            items = [
                {action: self._done(action, about, source)}
                for action, about, source in _actions(default, body)
            ]
            errors = any("error" in entry for item in items for entry in item.values())
            return {"took": 1, "errors": errors, "items": items}

    def _done(self, action: str, about: Mapping[str, Any], source: Any) -> dict[str, Any]:
        own_id = about.get("_id", "")
        try:
            name, index = self._target(about, action)
            if not isinstance(own_id, str) or not 0 < len(own_id.encode()) <= LONGEST_ID:
                raise illegal(
                    f"id is too long, must be no longer than {LONGEST_ID} bytes but was: {len(own_id)}"
                )
            if (refusal := self.judge(action, own_id, source)) is not None:
                raise refusal
            status, result, document = self._write(index, action, about, own_id, source)
        except SearchError as error:
            return {"_index": about["_index"], "_id": own_id, "status": error.status, "error": error.members}
        return {
            "_index": name,
            "_id": own_id,
            "_version": document.version,
            "result": result,
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": document.sequence,
            "_primary_term": TERM,
            "status": status,
        }

    def _target(self, about: Mapping[str, Any], action: str) -> tuple[str, StoredIndex]:
        name = about["_index"]
        if about.get("require_alias") and not any(name in index.aliases for index in self.indices.values()):
            raise SearchError(
                404,
                "index_not_found_exception",
                f"no such index [{name}] and [require_alias] request flag is [true]"
                f" and [{name}] is not an alias",
            )
        if (
            name not in self.indices
            and action != "delete"
            and not any(name in index.aliases for index in self.indices.values())
        ):
            self.indices[name] = StoredIndex({}, {"properties": {}})  # action.auto_create_index
        own, index = self._one(name)
        for block in ("read_only_allow_delete", "read_only", "write"):
            if str(index.settings.get(f"blocks.{block}", "")).lower() == "true" and not (
                block == "read_only_allow_delete" and action == "delete"
            ):
                flood = block == "read_only_allow_delete"
                words = (
                    "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark"
                    if flood
                    else f"FORBIDDEN/8/index {block}"
                )
                raise SearchError(
                    429 if flood else 403, "cluster_block_exception", f"index [{own}] blocked by: [{words}];"
                )
        return own, index

    def _write(
        self, index: StoredIndex, action: str, about: Mapping[str, Any], id: str, source: Any
    ) -> tuple[int, str, SearchDocument]:
        there = index.documents.get(id)
        is_there = there is not None and there.source is not None
        self._check_guard(there if is_there else None, about, id)
        version = _next_version(there, is_there, action, about, id)
        if action == "create" and is_there:
            raise _conflict(
                id, f"document already exists (current version [{there.version if there else 0}])"
            )
        if action == "update":
            if not is_there:
                raise SearchError(404, "document_missing_exception", f"[{id}]: document missing")
            source = {**(there.source or {} if there else {}), **source.get("doc", {})}
        if action != "delete":
            added = check_document(source, index.mapping, id)
            if added:
                index.mapping = merged(index.mapping, {"properties": added}, index.most_fields)
        index.sequence += 1
        document = index.documents[id] = SearchDocument(
            None if action == "delete" else source, version, index.sequence, self.now_s
        )
        self.writes.append((action, id, document.source))
        if action == "delete":
            return (200, "deleted", document) if is_there else (404, "not_found", document)
        return (200, "updated", document) if is_there else (201, "created", document)

    def _check_guard(self, there: SearchDocument | None, about: Mapping[str, Any], id: str) -> None:
        wanted = about.get("if_seq_no")
        if wanted is None:
            return
        if about.get("version_type") in EXTERNAL:
            raise illegal(
                "compare and write operations can not use versioning. use `if_seq_no` and "
                "`if_primary_term` instead"
            )
        if there is None:
            raise _conflict(
                id,
                f"required seqNo [{wanted}], primary term [{about['if_primary_term']}]. but no document "
                "was found",
            )
        if (there.sequence, TERM) != (wanted, about.get("if_primary_term")):
            raise _conflict(
                id,
                f"required seqNo [{wanted}], primary term [{about.get('if_primary_term')}]. current document "
                f"has seqNo [{there.sequence}] and primary term [{TERM}]",
            )

    def get(self, name: str, id: str, source: Any = True) -> dict[str, Any]:
        """One document, also before a refresh. Raises: SearchError."""
        with self.lock:
            own, index = self._one(name)
            document = index.documents.get(id)
            if document is None or document.source is None:
                return {"_index": own, "_id": id, "found": False}
            return {
                "_index": own,
                "_id": id,
                "_version": document.version,
                "_seq_no": document.sequence,
                "_primary_term": TERM,
                "found": True,
                "_source": shown(document.source, source),
            }

    def mget(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Several documents by their ids. Raises: SearchError."""
        with self.lock:
            wanted = body.get("docs") or [{"_id": one} for one in body.get("ids", ())]
            return {"docs": [self.get(name, one["_id"], one.get("_source", True)) for one in wanted]}

    # ---- searches ------------------------------------------------------------------------------------------

    def refresh(self, name: str) -> dict[str, Any]:
        """Let searches see what was written. Raises: SearchError."""
        with self.lock:
            behind = self.indices_of(name)
            for _, index, _ in behind:
                index.visible = {own: one for own, one in index.documents.items() if one.source is not None}
            return {"_shards": {"total": len(behind), "successful": len(behind), "failed": 0}}

    def search(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A search. Raises: SearchError."""
        size = body.get("size", 10)
        if size + body.get("from", 0) > MOST_HITS:
            raise illegal(
                f"Result window is too large, from + size must be less than or equal to: [{MOST_HITS}]"
            )
        with self.lock:
            hits = [
                (sort_key(body.get("sort", ()), document.source or {}, index.mapping), own, one, document)
                for own, index, one, document in self._matching(name, body.get("query", {"match_all": {}}))
            ]
        hits.sort(key=lambda hit: (hit[0], hit[2]))
        if (after := body.get("search_after")) is not None:
            hits = [hit for hit in hits if hit[0] > after]
        total = len(hits)
        start = body.get("from", 0)
        return {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": total, "relation": "eq"},
                "max_score": None,
                "hits": [_hit(*hit, body) for hit in hits[start : start + size]],
            },
        }

    def count(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """How many documents match. Raises: SearchError."""
        with self.lock:
            return {"count": sum(1 for _ in self._matching(name, body.get("query", {"match_all": {}})))}

    def delete_by_query(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Delete what a search finds, if it was not written since. Raises: SearchError."""
        with self.lock:
            deleted = conflicts = 0
            for own, index, one, document in list(self._matching(name, body["query"])):
                if index.documents.get(one) is document:
                    self._write(index, "delete", {"_index": own}, one, None)
                    deleted += 1
                else:
                    conflicts += 1
            return {"deleted": deleted, "version_conflicts": conflicts, "failures": []}

    def _matching(
        self, name: str, query: Mapping[str, Any]
    ) -> Iterator[tuple[str, StoredIndex, str, SearchDocument]]:
        for own, index, options in self.indices_of(name):
            for place, document in index.visible.items():
                queries = [query, *([options["filter"]] if "filter" in options else [])]
                if all(matches(one, document.source or {}, place, index.mapping) for one in queries):
                    yield own, index, place, document


def _hit(
    key: list[Any], own: str, id: str, document: SearchDocument, body: Mapping[str, Any]
) -> dict[str, Any]:
    hit: dict[str, Any] = {"_index": own, "_id": id, "_score": None}
    if body.get("version"):
        hit["_version"] = document.version
    if body.get("seq_no_primary_term"):
        hit |= {"_seq_no": document.sequence, "_primary_term": TERM}
    if key:
        hit["sort"] = key
    source = shown(document.source or {}, body.get("_source", True))
    return hit if source is None else {**hit, "_source": source}


def _next_version(
    there: SearchDocument | None, is_there: bool, action: str, about: Mapping[str, Any], id: str
) -> int:
    """The version that a write gives a document. Raises: SearchError for a conflict."""
    kind, given = about.get("version_type", "internal"), about.get("version")
    if kind not in EXTERNAL:
        if given is not None:
            raise illegal("internal versioning can not be used for optimistic concurrency control.")
        return 1 if there is None else there.version + 1
    if action not in ("index", "delete"):
        raise illegal(f"version type [{kind}] may not be used with [{action}]")
    if not isinstance(given, int) or not 0 <= given < 2**63:
        raise illegal(f"illegal version value [{given}] for version type [{kind}]")
    if there is not None and (given < there.version or (given == there.version and kind == "external")):
        raise _conflict(
            id, f"current version [{there.version}] is higher or equal to the one provided [{given}]"
        )
    return given


def _conflict(id: str, words: str) -> SearchError:
    return SearchError(409, "version_conflict_engine_exception", f"[{id}]: version conflict, {words}")


def _actions(default: str, body: bytes) -> Iterator[tuple[str, dict[str, Any], Any]]:
    if not body.endswith(b"\n"):
        raise illegal("The bulk request must be terminated by a newline [\\n]")
    lines = iter(body.split(b"\n")[:-1])
    for line in lines:
        if not line.strip():
            continue
        ((action, about),) = orjson.loads(line).items()
        if action not in ("index", "create", "delete", "update"):
            raise illegal(
                f"Malformed action/metadata line, expected one of [create, delete, "
                f"index, update] but found [{action}]"
            )
        about.setdefault("_index", default)
        yield action, about, None if action == "delete" else orjson.loads(next(lines))
