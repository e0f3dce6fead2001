"""Both search sinks keep the contracts of Sink, Versioned and Mirror, over a cluster in memory that obeys the
documented rules; broken copies do not.

Rules of this file: one canary an idea of the sink; a canary changes one thing about it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import orjson
import pytest
from msgspec import structs
from msgspec.structs import replace

from tailrace import sinks
from tailrace.errors import SinkError
from tailrace.ports import Failed, Mirror, Outcome, RecordBatch, Sink, Versioned
from tailrace.sinks.search.answers import DONE
from tailrace.sinks.search.client import SearchAnswer
from tailrace.sinks.search.requests import JSON
from tailrace.sinks.search.sink import SearchMirror
from tailrace.streams.version import Version
from tailrace.testing import check_mirror_sink, check_sink, check_versioned_sink
from tailrace.testing.contracts import mirror
from tailrace.testing.search import SearchServer
from tailrace.testing.search.server import RefusedRequest
from tailrace.values.types import Item
from tests.contracts.breaking import breaks

NUMBER = count()


@pytest.fixture(scope="module")
def server() -> Iterator[SearchServer]:
    with SearchServer() as running:
        yield running


def over(server: SearchServer, kind: type[SearchMirror] = sinks.OpenSearch) -> Callable[[], Any]:
    return lambda: kind(server.url, f"contract-{next(NUMBER)}")


def hits_of(server: SearchServer, sink: Any) -> list[dict[str, Any]]:
    """What readers of the alias find."""
    server.cluster.refresh(sink.index)
    hits: list[dict[str, Any]] = server.cluster.search(sink.index, {"size": 10_000})["hits"]["hits"]
    return [hit["_source"] for hit in hits]


def shown(server: SearchServer) -> Callable[[Any], Mapping[str, int]]:
    return lambda sink: {hit["pk"]: hit["n"] for hit in hits_of(server, sink)}


def versions(server: SearchServer) -> Callable[[Any], Mapping[str, Version]]:
    return lambda sink: {hit["pk"]: Version.from_text(hit["_version_pair"]) for hit in hits_of(server, sink)}


def again(sink: Any) -> Any:
    return type(sink)(sink.url, sink.index)


@pytest.mark.parametrize("kind", [sinks.OpenSearch, sinks.Elasticsearch])
def test_a_search_sink_keeps_the_contracts_of_mirrors(server: SearchServer, kind: type[SearchMirror]) -> None:
    check_mirror_sink(over(server, kind), shown(server), again=again)
    check_versioned_sink(over(server, kind), versions(server), again=again)
    assert isinstance(over(server, kind)(), Mirror)
    assert isinstance(over(server, kind)(), Versioned)


class Picky(sinks.OpenSearch):
    """An index that does not take some changes, and notes the others in order."""

    refused: frozenset[int] = frozenset()
    accepted: list[int]

    def item_of(self, batch: RecordBatch, place: int) -> Item | None:
        """A refused one raises."""
        if batch.records[place].sequence in self.refused:
            raise SinkError("refused")
        return super().item_of(batch, place)

    async def write(self, batch: RecordBatch) -> Outcome:
        """Note what was accepted: the newest of an item stands for those before it."""
        outcome = await super().write(batch)
        failed = outcome.failures if isinstance(outcome, Failed) else {}
        firsts: dict[bytes, int] = {}
        for index in sorted(failed):
            firsts.setdefault(batch.records[index].key, index)
        self.accepted += [
            record.sequence
            for index, record in enumerate(batch.records)
            if index < firsts.get(record.key, len(batch.records))
        ]
        return outcome


def test_a_search_sink_keeps_the_contract_of_sinks(server: SearchServer) -> None:
    def make(refused: frozenset[int]) -> Sink:
        sink = Picky(server.url, f"contract-{next(NUMBER)}")
        sink.refused, sink.accepted = refused, []
        return sink

    with SearchServer() as busy:
        busy.on("_bulk", RefusedRequest(429, b"", "1"))
        check_sink(
            make,
            lambda sink: sink.accepted,  # type: ignore[attr-defined]
            throttled=lambda: sinks.OpenSearch(busy.url, "contract"),
        )


# ---- canaries ----------------------------------------------------------------------------------------------


class ForgetsDeletions(sinks.OpenSearch):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        await self.forget(10**17, 1_000)
        return outcome


class TreatsSuccessOfTheRequestAsSuccess(sinks.OpenSearch):
    async def open(self, clock: Any) -> None:
        await super().open(clock)
        assert self._index is not None
        bulk = self._index.bulk

        async def believed(writes: Any) -> list[Any]:
            return [DONE for _ in await bulk(writes)]

        self._index.bulk = believed  # type: ignore[method-assign]


class WritesWithoutAGuard(sinks.OpenSearch):
    async def open(self, clock: Any) -> None:
        await super().open(clock)
        assert self._index is not None
        ask = self._index._transport.ask

        async def unguarded(method: str, path: str, body: bytes = b"", kind: str = JSON) -> Any:
            body = re.sub(rb',"if_seq_no":\d+,"if_primary_term":\d+', b"", body)
            return await ask(method, path, body.replace(b'{"create":', b'{"index":'), kind)

        self._index._transport.ask = unguarded  # type: ignore[method-assign]

    async def _documents(self, *arguments: Any) -> Any:
        answer = await super()._documents(*arguments)
        return [structs.replace(one, is_new=False) for one in answer]


class ComparesSeconds(sinks.OpenSearch):
    async def write(self, batch: RecordBatch) -> Outcome:
        records = [structs.replace(one, sequence=one.created_us // 1_000_000) for one in batch.records]
        return await super().write(replace(batch, records=records))


class SearchesWithoutARefresh(sinks.OpenSearch):
    async def open(self, clock: Any) -> None:
        await super().open(clock)
        assert self._index is not None
        ask = self._index._transport.ask

        async def unrefreshed(method: str, path: str, body: bytes = b"", kind: str = JSON) -> Any:
            if path.endswith("_refresh"):
                return SearchAnswer(200, "", b"{}")
            return await ask(method, path, body, kind)

        self._index._transport.ask = unrefreshed  # type: ignore[method-assign]


class ShowsDeletedRows(sinks.OpenSearch):
    async def open(self, clock: Any) -> None:
        await super().open(clock)
        assert self._index is not None
        add = {"index": f"{self.index}-all", "alias": self.index}
        await self._index._ask("POST", "/_aliases", orjson.dumps({"actions": [{"add": add}]}))


BROKEN: list[tuple[type[SearchMirror], Callable[..., object]]] = [
    (ForgetsDeletions, mirror.a_deletion_is_remembered),
    (TreatsSuccessOfTheRequestAsSuccess, mirror.a_scan_replaces_nothing_that_a_change_has_written),
    (WritesWithoutAGuard, mirror.two_writers_at_once_converge),
    (ComparesSeconds, mirror.whatever_the_order_it_converges),
    (SearchesWithoutARefresh, mirror.rows_are_listed_in_pages),
    (ShowsDeletedRows, mirror.a_deletion_is_remembered),
]


@pytest.mark.parametrize(("kind", "rule"), BROKEN)
def test_a_broken_search_sink_is_caught(
    server: SearchServer, kind: type[SearchMirror], rule: Callable[..., object]
) -> None:
    def by_key(sink: Any) -> Mapping[str, int]:
        return {bytes.fromhex(hit["tailrace_key"]).decode(): hit.get("n", 0) for hit in hits_of(server, sink)}

    breaks(rule, lambda: check_mirror_sink(over(server, kind), by_key, again=again))
