"""The search cluster in memory obeys the rules that are documented: versions, guards, tombstones, refreshes,
aliases, types, limits.

Rules of this file: what is asked is what the documentation says; the sinks are not known here.
"""

from typing import Any

import orjson
import pytest

from tailrace.testing.search import SearchCluster
from tailrace.testing.search.types import SearchError


def bulk(cluster: SearchCluster, *lines: Any, index: str = "orders") -> list[dict[str, Any]]:
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    return [entry for item in cluster.bulk(index, body)["items"] for entry in item.values()]


def made(**body: Any) -> SearchCluster:
    cluster = SearchCluster()
    cluster.create("orders", body)
    return cluster


def statuses(entries: list[dict[str, Any]]) -> list[int]:
    return [entry["status"] for entry in entries]


def external(version: int, kind: str = "external") -> dict[str, Any]:
    return {"_id": "a", "version": version, "version_type": kind}


@pytest.mark.parametrize(
    ("kind", "version", "status"),
    [("external", 4, 409), ("external", 5, 409), ("external", 6, 200),
     ("external_gte", 4, 409), ("external_gte", 5, 200), ("external", 2**63 - 1, 200),
     ("external", 2**63, 400)],
)  # fmt: skip
def test_an_external_version_must_be_larger(kind: str, version: int, status: int) -> None:
    cluster = made()
    assert statuses(bulk(cluster, {"index": external(5)}, {"n": 1})) == [201]
    assert statuses(bulk(cluster, {"index": external(version, kind)}, {"n": 2})) == [status]


@pytest.mark.parametrize("action", ["create", "update"])
def test_only_index_and_delete_take_external_versions(action: str) -> None:
    assert statuses(bulk(made(), {action: external(5)}, {"n": 1})) == [400]


@pytest.mark.parametrize(
    ("age", "settings", "status"), [(60, {}, 409), (61, {}, 201), (61, {"gc_deletes_s": 99}, 409)]
)
def test_a_deletion_is_remembered_for_a_minute(age: int, settings: dict[str, Any], status: int) -> None:
    cluster = made(settings={"index": settings})
    bulk(cluster, {"index": external(5)}, {"n": 1}, {"delete": external(9)})
    cluster.advance(age)
    assert statuses(bulk(cluster, {"index": external(7)}, {"n": 2})) == [status]


def test_a_guard_holds_for_the_state_that_was_read_only() -> None:
    cluster = made()
    (entry,) = bulk(cluster, {"index": {"_id": "a"}}, {"n": 1})
    guard = {"if_seq_no": entry["_seq_no"], "if_primary_term": entry["_primary_term"]}
    writes = [{"index": {"_id": "a", **guard}}, {"n": 2}, {"delete": {"_id": "a", **guard}}]
    assert statuses(bulk(cluster, *writes, {"index": {"_id": "none", **guard}}, {"n": 1})) == [200, 409, 409]
    assert statuses(bulk(cluster, {"index": {**external(9), **guard}}, {"n": 1})) == [400]
    assert cluster.get("orders", "a")["_source"] == {"n": 2}


def test_a_document_is_created_once_and_updated_where_it_is() -> None:
    create = [{"create": {"_id": "a"}}, {"n": 1, "m": 1}]
    assert statuses(bulk(made(), *create, *create)) == [201, 409]
    cluster = made()
    update = [{"update": {"_id": "a"}}, {"doc": {"n": 2}}]
    assert statuses(bulk(cluster, *update, *create, *update)) == [404, 201, 200]
    assert cluster.get("orders", "a")["_source"] == {"n": 2, "m": 1}
    assert statuses(bulk(cluster, {"delete": {"_id": "a"}}, {"delete": {"_id": "a"}})) == [200, 404]


def test_searches_see_what_was_refreshed_and_reads_by_id_everything() -> None:
    cluster = made(aliases={"shown": {"filter": {"term": {"hidden": False}}}})
    bulk(cluster, {"index": {"_id": "a"}}, {"hidden": False}, {"index": {"_id": "b"}}, {"hidden": True})
    assert cluster.get("orders", "a")["found"]
    assert cluster.count("orders", {})["count"] == 0
    cluster.refresh("shown")
    assert cluster.count("orders", {})["count"] == 2
    assert cluster.count("shown", {})["count"] == 1
    assert cluster.delete_by_query("orders", {"query": {"term": {"hidden": True}}})["deleted"] == 1
    assert cluster.count("orders", {})["count"] == 2
    cluster.refresh("orders")
    assert cluster.count("orders", {})["count"] == 1


def test_pages_go_on_behind_the_last_hit() -> None:
    cluster = made(mappings={"properties": {"k": {"type": "keyword"}}})
    for key in "bdac":
        bulk(cluster, {"index": {"_id": key}}, {"k": key})
    cluster.refresh("orders")
    first = cluster.search("orders", {"sort": [{"k": "asc"}], "size": 3})["hits"]["hits"]
    second = cluster.search("orders", {"sort": [{"k": "asc"}], "search_after": first[-1]["sort"]})
    assert [hit["_id"] for hit in (*first, *second["hits"]["hits"])] == ["a", "b", "c", "d"]
    with pytest.raises(SearchError, match="window"):
        cluster.search("orders", {"size": 10_001})


@pytest.mark.parametrize(
    ("mapping", "document", "status"),
    [
        ({"type": "long"}, 2**63 - 1, 201),
        ({"type": "long"}, 2**63, 400),
        ({"type": "long"}, "7", 201),
        ({"type": "double"}, "x", 400),
        ({"type": "boolean"}, "no", 400),
        ({"type": "date"}, "tomorrow", 400),
        ({"type": "keyword"}, "x" * 32_766, 201),
        ({"type": "keyword"}, "x" * 32_767, 400),
        ({"type": "text"}, {"a": 1}, 400),
        ({"type": "object"}, "x", 400),
        ({"type": "object", "enabled": False}, "x", 201),
    ],
)
def test_a_field_takes_its_type_only(mapping: dict[str, Any], document: Any, status: int) -> None:
    cluster = made(mappings={"properties": {"a": mapping}})
    assert statuses(bulk(cluster, {"index": {"_id": "1"}}, {"a": document})) == [status]


def test_the_first_value_fixes_a_type_where_mapping_is_dynamic() -> None:
    cluster = made()
    writes = [{"index": {"_id": "1"}}, {"a": 1}, {"index": {"_id": "2"}}, {"a": "one"}]
    assert statuses(bulk(cluster, *writes)) == [201, 400]
    strict = made(mappings={"dynamic": "strict"})
    (entry,) = bulk(strict, {"index": {"_id": "1"}}, {"a": 1})
    assert entry["error"]["type"] == "strict_dynamic_mapping_exception"


def test_an_index_takes_so_many_fields() -> None:
    settings = {"index": {"mapping.total_fields.limit": 2}}
    cluster = made(settings=settings, mappings={"properties": {"a": {"type": "long"}}})
    cluster.put_mapping("orders", {"properties": {"b": {"type": "long"}}})
    with pytest.raises(SearchError, match="Limit of total fields"):
        cluster.put_mapping("orders", {"properties": {"c": {"type": "long"}}})
    with pytest.raises(SearchError, match="cannot be changed"):
        cluster.put_mapping("orders", {"properties": {"a": {"type": "text"}}})


@pytest.mark.parametrize(
    ("name", "status"), [("x" * 512, 201), ("x" * 513, 400), ("é" * 257, 400), ("", 400)]
)
def test_an_id_has_at_most_512_bytes(name: str, status: int) -> None:
    assert statuses(bulk(made(), {"index": {"_id": name}}, {})) == [status]


def test_an_index_is_made_by_a_write_unless_it_must_be_an_alias() -> None:
    cluster = SearchCluster()
    assert statuses(bulk(cluster, {"index": {"_id": "a", "require_alias": True}}, {})) == [404]
    assert cluster.indices == {}
    assert statuses(bulk(cluster, {"index": {"_id": "a"}}, {})) == [201]
    assert set(cluster.indices) == {"orders"}


def test_a_bulk_request_ends_with_a_newline() -> None:
    with pytest.raises(SearchError, match="newline"):
        made().bulk("orders", b'{"delete":{"_id":"a"}}')


@pytest.mark.parametrize(
    ("block", "status", "deletes"), [("write", 403, 403), ("read_only_allow_delete", 429, 404)]
)
def test_a_block_refuses_writes(block: str, status: int, deletes: int) -> None:
    cluster = made()
    cluster.put_settings("orders", {f"index.blocks.{block}": True})
    entries = bulk(cluster, {"index": {"_id": "a"}}, {}, {"delete": {"_id": "a"}})
    assert statuses(entries) == [status, deletes]
    assert entries[0]["error"]["type"] == "cluster_block_exception"
