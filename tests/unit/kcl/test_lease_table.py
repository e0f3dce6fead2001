"""Lease tables of every KCL: which version wrote them, what is no lease, and whether a worker lives."""

import copy
from typing import Any

import pytest

from tailrace.errors import SettingsError
from tailrace.kcl.core.lease_table import KclCheckpoint, check_key, read_table, stream_name
from tests.unit.kcl.golden import A, B, C, lease, number, raw, table_of

GOLDEN = ["1.x", "2.x", "2.x-several-streams", "3.3", "3.5", "kinesis"]
WORKER = "10.0.0.1:6f8d2f1e-8a8b-4f3e-9c8f-0a1b2c3d4e5f"
OTHER = "10.0.0.2:0b7c1c55-16b5-4a43-8a8e-5d4c3b2a1908"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1.x", "1.x or 2.x"),
        ("2.x", "2.x"),
        ("2.x-several-streams", "2.x"),
        ("3.3", "3.0 to 3.4"),
        ("3.5", "3.5"),
    ],
)
def test_what_a_table_has_tells_which_kcl_wrote_it(name: str, version: str) -> None:
    assert table_of(name).version == version


def test_the_index_of_owners_alone_tells_of_kcl_3() -> None:
    assert read_table("t", [lease(A, "LATEST")], has_owner_index=True).version == "3.0 to 3.4"
    assert read_table("t", [lease(A, "LATEST")]).version == "1.x or 2.x"


@pytest.mark.parametrize("name", ["1.x", "2.x", "3.3", "3.5"])
def test_leases_are_read_alike_whichever_version_wrote_them(name: str) -> None:
    first, second, third = table_of(name).leases
    assert (first.shard_id, first.checkpoint.text, first.has_ended) == (A, "SHARD_END", True)
    assert (second.shard_id, second.checkpoint, second.counter) == (B, KclCheckpoint(str(number(250))), 401)
    assert second.owners[0] == WORKER
    assert third.shard_id == C
    assert {row.stream for row in (first, second, third)} == {""}


def test_a_prepared_checkpoint_is_told_beside_the_one_that_holds() -> None:
    lease_of_b = table_of("2.x").leases[1]
    assert lease_of_b.checkpoint.text == str(number(250))
    assert lease_of_b.pending == KclCheckpoint(str(number(255)))


def test_who_still_drains_a_lease_is_told_beside_its_owner() -> None:
    assert table_of("3.3").leases[1].owners == (WORKER, OTHER)


def test_keys_for_several_streams_are_taken_apart() -> None:
    first, second, third = table_of("2.x-several-streams").leases
    assert (first.stream, first.shard_id) == (
        stream_name("eu-west-1", "123456789012", "orders", "2026-11-28T10:00:00.000"),
        A,
    )
    assert second.stream == first.stream
    assert third.stream == stream_name("eu-west-1", "123456789012", "users", "2026-11-28T10:00:00.000")


def test_keys_for_several_streams_are_taken_apart_without_their_attributes_too() -> None:
    rows = [
        {name: value for name, value in item.items() if name not in ("streamName", "shardId")}
        for item in raw("2.x-several-streams")["items"]
    ]
    table = read_table("all-apps", rows)
    assert [(row.stream, row.shard_id) for row in table.leases] == [
        (row.stream, row.shard_id) for row in table_of("2.x-several-streams").leases
    ]


def test_a_shard_id_with_a_colon_is_one_key() -> None:
    shard_id = "H 19a2f3c4d5e:0123456789abcdef0123456789abcdef"
    assert read_table("t", [lease(shard_id, "LATEST")]).leases[0].shard_id == shard_id


def test_rows_of_kcl_3_5_that_are_no_leases_are_counted_and_understood() -> None:
    table = table_of("3.5")
    assert len(table.leases) == 3
    assert table.others == {
        "LEADER": 1,
        "CLIENT_VERSION_MIGRATION": 1,
        "TABLE_MIGRATION": 1,
        "WORKER_METRIC_STATS": 1,
        "STREAM": 1,
    }
    assert table.migrations == ("clients: CLIENT_VERSION_3X", "tables: COMPLETE")


def test_the_order_of_checkpoints_is_kcls_and_numbers_are_compared_as_numbers() -> None:
    texts = ["AT_TIMESTAMP", "TRIM_HORIZON", "LATEST", "9", "10", "SHARD_END"]
    places = [KclCheckpoint(text) for text in texts]
    places.insert(4, KclCheckpoint("9", 2))
    assert sorted([places[3], *places[:3], *places[4:]], key=lambda place: place.order) == places


# ---- whether a worker lives --------------------------------------------------------------------------------


def looked_at(name: str, change: Any = None) -> Any:
    kept = copy.deepcopy(raw(name))
    if change is not None:
        change(kept["items"])
    return read_table(kept["table"], kept["items"])


def renew(items: list[dict[str, Any]], place: int = 1) -> None:
    items[place]["leaseCounter"]["N"] = str(int(items[place]["leaseCounter"]["N"]) + 1)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_table_that_stands_still_is_nobodys(name: str) -> None:
    assert looked_at(name).alive_since(looked_at(name)) == ()


@pytest.mark.parametrize("name", ["1.x", "2.x", "2.x-several-streams", "3.3", "3.5"])
def test_a_lease_that_is_renewed_tells_its_owner(name: str) -> None:
    assert looked_at(name, renew).alive_since(looked_at(name)) == (WORKER,)


def test_a_lease_that_is_given_back_between_two_looks_tells_who_was_there() -> None:
    assert looked_at("2.x", lambda items: items[1].pop("leaseOwner")).alive_since(looked_at("2.x")) == (
        WORKER,
    )


def test_a_lease_that_is_taken_between_two_looks_tells_who_has_come() -> None:
    def take(items: list[dict[str, Any]]) -> None:
        items[0]["leaseOwner"] = {"S": OTHER}

    assert looked_at("2.x", take).alive_since(looked_at("2.x")) == (OTHER,)


def test_a_leader_that_renews_its_lock_lives_although_no_lease_moves() -> None:
    def renew_lock(items: list[dict[str, Any]]) -> None:
        items[3]["recordVersionNumber"]["S"] = "another"

    assert looked_at("3.5", renew_lock).alive_since(looked_at("3.5")) == (WORKER,)


def test_a_lock_that_was_given_back_tells_nothing() -> None:
    def give_back(items: list[dict[str, Any]]) -> None:
        items[3]["isReleased"] = {"S": "1"}

    def give_back_and_move(items: list[dict[str, Any]]) -> None:
        give_back(items)
        items[3]["recordVersionNumber"]["S"] = "another"

    assert looked_at("3.5", give_back_and_move).alive_since(looked_at("3.5", give_back)) == ()


def test_metrics_that_are_told_anew_tell_a_worker_without_leases() -> None:
    def tell(items: list[dict[str, Any]]) -> None:
        items[6]["lut"]["N"] = "1795863630"

    assert looked_at("3.5", tell).alive_since(looked_at("3.5")) == (WORKER,)


# ---- what is refused ---------------------------------------------------------------------------------------


def test_a_kind_of_row_that_no_kcl_up_to_3_5_writes_is_refused_by_name() -> None:
    row = {"leaseKey": {"S": "x"}, "entityType": {"S": "SHARD_GROUP"}}
    with pytest.raises(SettingsError, match="'x' of t is a SHARD_GROUP"):
        read_table("t", [row])


@pytest.mark.parametrize("checkpoint", ["", "latest", "-1", "12.5", "٣"])
def test_a_checkpoint_that_kcl_does_not_write_is_refused_by_name(checkpoint: str) -> None:
    with pytest.raises(SettingsError, match=A):
        read_table("t", [lease(A, checkpoint)])


def test_the_table_of_another_consumer_is_refused() -> None:
    with pytest.raises(SettingsError, match="another consumer"):
        read_table("t", [lease(A, "12", completed={"BOOL": False})])


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ("orders-app-CoordinatorState", "key", "coordinator"),
        ("orders-app-WorkerMetricStats", "wid", "metrics"),
    ],
)
def test_the_tables_beside_the_leases_are_refused_with_the_one_that_is_meant(
    table: str, key: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        check_key(table, key, "")
    assert str(refused.value.hint).endswith(": orders-app")


@pytest.mark.parametrize(("key", "range_key"), [("id", ""), ("leaseKey", "sk")])
def test_a_table_with_another_key_is_refused(key: str, range_key: str) -> None:
    with pytest.raises(SettingsError, match="no lease table"):
        check_key("orders", key, range_key)


def test_a_lease_table_is_known_by_its_key() -> None:
    check_key("orders-app", "leaseKey", "")
