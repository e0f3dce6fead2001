"""While a new version of an app replaces the one before, every shard is read: two workers, of which one
follows a table that the other knows nothing of.
"""

import json
from pathlib import Path

from tests.fleet import APP, TERM, Fleet, check_order, fleet
from tests.patience import until

NEXT = """
sales = app.table("sales", pk="id")
app.on(sales, id="sold")(note)
"""
SHARDS = 8
LEASE = "--lease", "1s"


def held(ground: Fleet) -> dict[str, int]:
    """How many leases each worker has."""
    asked = ("leases", "ls", "--watch", "1s", *ground.state, "--app", "app.py", "--json")
    code, out, said = ground.run(*asked)
    assert code == 0, said
    owners = [lease["owner"] for lease in json.loads(out) if lease["owner"]]
    return {owner: owners.count(owner) for owner in owners}


def test_every_shard_is_read_while_two_versions_of_an_app_run(tmp_path: Path) -> None:
    with fleet(tmp_path, "--memory", "--shards", str(SHARDS)) as ground:
        (tmp_path / "next.py").write_text(APP + NEXT)
        ground.create_state()
        for table in ("orders", "sales"):
            ground.create_table(table)
        before = ground.worker(*LEASE)
        ground.wait(ground.write(40, 0, 1))
        after = ground.worker(*LEASE, app="next.py")
        ground.wait(ground.write(40, 1, 2, table="sales"))
        until(lambda: (len(owned := held(ground)), sum(owned.values())), (2, 2 * SHARDS))
        ground.wait(ground.write(40, 2, 4) | ground.write(40, 4, 6, table="sales"))
        assert before.end(TERM)[0] == 0
        ground.wait(ground.write(40, 6, 7))
        assert after.end(TERM)[0] == 0
        check_order(ground.handled())
