"""Which builds there are stands in one line of changes, and a filling is its claimant's
until it falls silent.
"""

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.errors import StateConflict, StoreError
from tailrace.leases.lease import Owner
from tailrace.projections.core.builds import Build, build_key, read_build
from tailrace.projections.core.known import (
    CLAIM_MS,
    BuildClaims,
    KnownBuilds,
    begun,
    claimed,
    forgotten,
    is_there,
    known_key,
    read_known,
    read_revision,
    removed,
    saved,
    serving,
)
from tailrace.rows.writes import StateRow, Write
from tailrace.stores.memory import MemoryStateStore

NOTHING = KnownBuilds("shop", "sales")


class Rows:
    """A state store, written and read at once."""

    def __init__(self) -> None:
        self.state = MemoryStateStore()

    def write(self, writes: Sequence[Write]) -> None:
        asyncio.run(self.state.transact(list(writes)))

    def known(self) -> KnownBuilds:
        async def read() -> KnownBuilds:
            return read_known(
                "shop",
                "sales",
                await self.state.get(known_key("shop", "sales")),
                await self.state.get("projection/shop/sales"),
                await self.state.query("projection-build/shop/sales/"),
            )

        return asyncio.run(read())


@pytest.fixture
def rows() -> Rows:
    rows = Rows()
    rows.write(begun(NOTHING, Build("sales", "1", "state"), "orders")[1])
    return rows


def test_each_change_is_known_as_its_rows_say(rows: Rows) -> None:
    known = rows.known()
    assert (known.served, known.revision, [build.name for build in known.builds]) == ("1", 1, ["1"])
    for change in (
        lambda known: begun(known, Build("sales", "1.1", "state"), "orders"),
        lambda known: begun(known, Build("sales", "1.2", "table kept"), "orders"),
        lambda known: claimed(known, known.builds[1], "me")[::2],
        lambda known: serving(known, "1.1", "orders"),
        lambda known: forgotten(known, ["1", "1.2"], "state"),
        lambda known: removed(known, ["1"]),
    ):
        known, writes = change(known)
        rows.write(writes)
        assert rows.known() == known
    assert ([build.name for build in known.builds], known.served, known.removing) == (["1.1"], "1.1", {})


def test_of_two_changes_from_one_look_the_second_fails(rows: Rows) -> None:
    known = rows.known()
    second = Build("sales", "1.1", "state")
    changes = [
        begun(known, second, "orders")[1], claimed(known, known.builds[0], "me")[2],
        serving(known, "1", "orders")[1],
        forgotten(known, ["1"], "state")[1], removed(known, ["1"])[1],
    ]  # fmt: skip
    for first in changes:
        for other in changes:
            fresh = Rows()
            fresh.write(begun(NOTHING, Build("sales", "1", "state"), "orders")[1])
            fresh.write(first)
            with pytest.raises(StateConflict):
                fresh.write(other)
    with pytest.raises(StateConflict):
        rows.write(begun(NOTHING, Build("sales", "1", "state"), "orders")[1])


def test_rows_of_before_there_were_claims_are_known_and_claimed() -> None:
    rows = Rows()
    old = {
        "v": 1, "projection": "sales", "name": "1", "into": "state", "is_filled": False, "position": 0,
        "after": None, "filled": 0,
        "failures": 0, "failed": [], "begun_ms": 1, "since": 0, "code": "",
    }  # fmt: skip
    served = {"v": 1, "id": "sales", "table": "orders", "served": "1"}
    rows.write([Write(build_key("shop", "sales", "1"), old), Write("projection/shop/sales", served)])
    known = rows.known()
    assert (known.served, known.revision, known.builds[0].stamp) == ("1", 0, "")
    after, build, writes = claimed(known, known.builds[0], "me")
    rows.write(writes)
    assert (rows.known(), build.stamp, build.claimed_by) == (after, "1/0", "me")


def test_a_claim_fails_where_the_build_was_saved_since(rows: Rows) -> None:
    _, build, writes = claimed(rows.known(), rows.known().builds[0], "one")
    rows.write(writes)
    looked = rows.known()
    rows.write([saved("shop", build, build.with_page(5, None, 2, ()))[1]])
    with pytest.raises(StateConflict):
        rows.write(claimed(looked, looked.builds[0], "other")[2])
    assert rows.known().builds[0].claimed_by == "", "no worker claims a build that is filled"


def test_who_has_lost_a_claim_saves_nothing(rows: Rows) -> None:
    _, build, writes = claimed(rows.known(), rows.known().builds[0], "one")
    rows.write(writes)
    _, other, writes = claimed(rows.known(), rows.known().builds[0], "other")
    rows.write(writes)
    with pytest.raises(StateConflict):
        rows.write([saved("shop", build, build.with_page(5, None, 2, ()))[1]])
    rows.write([saved("shop", other, other.with_page(6, None, 2, ()))[1]])
    known = rows.known()
    rows.write(forgotten(known, ["1"], "state")[1])
    with pytest.raises(StateConflict):
        rows.write([saved("shop", known.builds[0], known.builds[0])[1]])


def test_a_name_is_not_given_again_while_rows_of_it_may_be_left() -> None:
    known = KnownBuilds("shop", "sales", (Build("sales", "2"),), "2", 7, {"1": "state"})
    assert (known.next_name(1), known.next_name(2), known.next_name(3)) == ("1.1", "2.1", "3")


def test_only_rows_in_the_place_of_the_app_are_to_be_removed() -> None:
    known = KnownBuilds(
        "shop", "sales", (Build("sales", "1", "table kept"), Build("sales", "2", "state")), "2", 7
    )
    assert forgotten(known, ["1"], "state")[0].removing == {}
    assert forgotten(known, ["1"], "table kept")[0].removing == {"1": "table kept"}


def test_a_build_is_there_as_long_as_its_row(rows: Rows) -> None:
    rows.write([is_there("shop", "sales", "1")])  # type: ignore[list-item]
    rows.write(forgotten(rows.known(), ["1"], "state")[1])
    with pytest.raises(StateConflict):
        rows.write([is_there("shop", "sales", "1")])  # type: ignore[list-item]


def test_a_claim_runs_out_when_its_row_has_stood_still_for_the_observer() -> None:
    claims = BuildClaims(Owner("me", lambda name: name == "gone"))
    build = Build("sales", "1", claimed_by="other", claim=3, beat=1)
    assert claims.is_taken(build, 1_000)
    assert claims.is_taken(build, 999 + CLAIM_MS)
    moved = Build("sales", "1", claimed_by="other", claim=3, beat=2)
    assert claims.is_taken(moved, 1_001 + CLAIM_MS), "its worker lives"
    assert claims.is_taken(moved, 1_000 + 2 * CLAIM_MS)
    assert not claims.is_taken(moved, 1_001 + 2 * CLAIM_MS)


def test_a_claim_of_a_fleet_runs_out_as_the_lease_of_its_worker_does(rows: Rows) -> None:
    known = rows.known()
    _, build, writes = claimed(known, known.builds[0], "other", 6_000)
    rows.write(writes)
    assert rows.known().builds[0] == build, "its row says how long"
    _, later = saved("shop", build, build.with_page(5, {"id": {"S": "o1"}}, 1, []))
    rows.write([later])
    claims, (build, *_) = BuildClaims(Owner("me")), rows.known().builds
    assert build.claim_ms == 6_000
    assert claims.is_taken(build, 1_000)
    assert claims.is_taken(build, 1_000 + 5_999)
    assert not claims.is_taken(build, 1_000 + 6_000)
    assert claimed(rows.known(), build, "me")[1].claim_ms == 0, "the next one says its own"


@pytest.mark.parametrize("name", ["", "me", "gone"])
def test_what_nobody_else_has_is_free_at_once(name: str) -> None:
    claims = BuildClaims(Owner("me", lambda name: name == "gone"))
    assert not claims.is_taken(Build("sales", "1", claimed_by=name, claim=3, beat=1), 1_000)


def test_a_row_of_another_format_is_refused() -> None:
    assert read_revision(None) == 0
    with pytest.raises(StoreError, match="list of builds has format 2"):
        read_revision(StateRow("k", {"v": 2, "revision": 1}))


def test_a_build_that_is_claimed_comes_back_as_it_was(rows: Rows) -> None:
    _, build, writes = claimed(rows.known(), rows.known().builds[0], "one")
    rows.write(writes)
    row = asyncio.run(rows.state.get(build_key("shop", "sales", "1")))
    assert row is not None
    assert read_build(row.fields) == build
