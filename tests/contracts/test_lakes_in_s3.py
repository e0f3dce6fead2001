"""A history is delivered into a bucket as it is into memory, over moto's S3.

Stands for S3: moto looks and writes in two steps, in threads, and here in one (`one_put_at_a_time`).
Rules of this file: two sinks, as two workers have them, take turns; each finds what the other wrote.
"""

import asyncio
from typing import Any

import pytest

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import Unavailable
from tailrace.sinks import AwsAccess, ParquetLake, ParquetLog
from tests.contracts.test_archive_store import account, one_put_at_a_time
from tests.unit.sinks.lake.faults import Delivery, history, shown_by
from tests.unit.sinks.moto_server import client, moto

__all__ = ["account"]


@pytest.mark.parametrize("form", [ParquetLake, ParquetLog])
def test_a_history_is_delivered_into_a_bucket(
    form: type[Any], account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_put_at_a_time(monkeypatch), moto() as access:
        bucket = form.__name__.lower()
        client("s3", access).create_bucket(Bucket=bucket)
        place = AwsAccess(access.region, access.endpoint_url, access.profile)

        changes = history(3)

        class InABucket(Delivery):
            def made(self) -> Any:
                return form(f"s3://{bucket}/deep/er", "orders", access=place)

        delivery = InABucket(form, MemoryArchive(), changes)

        async def run() -> None:
            for _ in range(2):
                await delivery.run(lambda: delivery.deliver("shard-1", 5))
                delivery.sink = None
            await delivery.everything()

        asyncio.run(run())
        sink = delivery.made()
        rows = sink.read() if form is ParquetLake else sink.read(newest=True)
        assert {row["pk"]: row["n"] for row in rows.to_pylist()} == shown_by(changes)
        assert all(name.startswith(f"s3://{bucket}/deep/er/orders/data/") for name in sink.files())
        if form is ParquetLog:
            assert sink.read().num_rows == sum(map(len, changes.values()))


def test_a_bucket_that_is_not_there_is_an_outage(account: None) -> None:
    with moto() as access:
        place = AwsAccess(access.region, access.endpoint_url, access.profile)
        with pytest.raises(Unavailable, match="NoSuchBucket"):
            asyncio.run(ParquetLog("s3://nowhere", "orders", access=place).open(ManualClock()))
