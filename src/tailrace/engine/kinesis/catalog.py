"""The data streams of an engine, in memory for speed and in the catalog's table of the store for good.

Rules of this file: every change of what is kept goes through the pending group; after a failed commit all of
it is read again. Nothing here decides. Called by everything in `engine.kinesis`.
"""

from bisect import bisect_right
from collections.abc import Container
from typing import Final

import msgspec
from msgspec import Struct

from tailrace.engine.catalog import Catalog, Namespace, policy_key
from tailrace.engine.committer import Committer
from tailrace.engine.documents import CATALOG, decode
from tailrace.engine.horizon import Horizon
from tailrace.engine.kinesis.documents import AccountDocument, DataStreamDocument, DroppedShardDocument
from tailrace.engine.reading import ShardReader
from tailrace.engine.settings import EngineSettings
from tailrace.ports import Clock
from tailrace.streams.kinesis.data_shards import DataShard, open_in_order
from tailrace.streams.kinesis.names import data_stream_arn

STREAMS: Final = b"data-stream/"
DROPPED: Final = b"data-dropped/"
ACCOUNTS: Final = b"data-account/"


class DataStreamState:
    """A data stream in memory: its document, and its open shards in the order of their hashes.

    Shape:   nothing of it is due before `due_ms`, 0 when housekeeping has not looked yet.
    """

    __slots__ = ("_firsts", "arn", "by_id", "document", "due_ms", "namespace", "open_shards")

    def __init__(self, document: DataStreamDocument, namespace: Namespace) -> None:
        self.arn = data_stream_arn(document.region, document.account, document.name)
        self.namespace = namespace
        self.replace(document)

    def replace(self, document: DataStreamDocument) -> None:
        """Take a document with other shards or settings."""
        self.due_ms = 0
        self.document = document
        self.open_shards = open_in_order(document.shards)
        self.by_id = {shard.shard_id: shard for shard in document.shards}
        self._firsts = [shard.hash_range.first for shard in self.open_shards]

    def __str__(self) -> str:
        return f"stream {self.name} under account {self.document.account}"

    @property
    def title(self) -> str:
        """What messages begin with."""
        return f"S{str(self)[1:]}"

    @property
    def name(self) -> str:
        """Its name in its account and region."""
        return self.document.name

    @property
    def is_usable(self) -> bool:
        """Whether it can be written and read, as it was settled last."""
        return self.document.busy not in ("CREATING", "DELETING")

    def shard_for(self, hash_key: int) -> DataShard:
        """The open shard that a hash belongs to."""
        return self.open_shards[bisect_right(self._firsts, hash_key) - 1]


class DataStreamCatalog:
    """All data streams, by their ARNs, and what is left of those that are gone.

    Shape:   `shards` says by the engine's number of which stream a shard is.
    """

    def __init__(self, committer: Committer, catalog: Catalog) -> None:
        self._committer = committer
        self._catalog = catalog
        self.streams: dict[str, DataStreamState] = {}
        self.shards: dict[int, tuple[DataStreamState, DataShard]] = {}
        self.dropped: set[int] = set()

    def load(self) -> None:
        """Read everything from the store. Raises: StoreError."""
        self.streams.clear()
        self.shards.clear()
        for document in self._catalog.documents(STREAMS, DataStreamDocument).values():
            namespace = self._catalog.namespace(document.region, document.account)
            self._note(DataStreamState(document, namespace))
        dropped = self._catalog.documents(DROPPED, DroppedShardDocument)
        self.dropped = {document.number for document in dropped.values()}

    def in_namespace(self, namespace: Namespace) -> list[DataStreamState]:
        """The streams of an account and region, by their names."""
        streams = [stream for stream in self.streams.values() if stream.namespace is namespace]
        return sorted(streams, key=lambda stream: stream.name)

    # ---- writing -------------------------------------------------------------------------------------------

    def save(self, document: DataStreamDocument, namespace: Namespace) -> DataStreamState:
        """Keep a stream's new document, in memory at once, in the store with the group."""
        stream = self.streams.get(data_stream_arn(document.region, document.account, document.name))
        if stream is None:
            stream = DataStreamState(document, namespace)
        else:
            for shard in stream.document.shards:
                self.shards.pop(shard.number, None)
            self._forget_consumers(stream, {consumer.arn_in(stream.arn) for consumer in document.consumers})
            stream.replace(document)
        self._note(stream)
        self._put(STREAMS + stream.arn.encode(), document)
        return stream

    def _note(self, stream: DataStreamState) -> None:
        self.streams[stream.arn] = stream
        for shard in stream.document.shards:
            self.shards[shard.number] = stream, shard

    def remove(self, stream: DataStreamState) -> None:
        """Forget a stream and its policy; its records are left to housekeeping."""
        del self.streams[stream.arn]
        self._forget_consumers(stream, set())
        for shard in stream.document.shards:
            del self.shards[shard.number]
            self.drop(shard.number)
        self._committer.put_row(CATALOG, STREAMS + stream.arn.encode(), None)
        self._committer.put_row(CATALOG, policy_key(stream.arn), None)

    def _forget_consumers(self, stream: DataStreamState, kept: Container[str]) -> None:
        """The policies of those that are gone go with them."""
        for consumer in stream.document.consumers:
            arn = consumer.arn_in(stream.arn)
            if arn not in kept:
                self._committer.put_row(CATALOG, policy_key(arn), None)

    def drop(self, number: int) -> None:
        """Leave a shard's records to housekeeping."""
        self.dropped.add(number)
        self._committer.note_closed(number)
        self._put(_dropped_key(number), DroppedShardDocument(number))

    def forget_dropped(self, number: int) -> None:
        """The last record of a shard that is gone is gone too."""
        self.dropped.discard(number)
        self._committer.put_row(CATALOG, _dropped_key(number), None)

    def account(self, namespace: Namespace) -> AccountDocument:
        """What an account said of itself."""
        key = _account_key(namespace)
        data = self._committer.get(CATALOG, key)
        return AccountDocument() if data is None else decode(key, data, AccountDocument)

    def save_account(self, namespace: Namespace, document: AccountDocument) -> None:
        """Keep what an account says of itself."""
        self._put(_account_key(namespace), document)

    def _put(self, key: bytes, document: Struct) -> None:
        self._committer.put_row(CATALOG, key, msgspec.json.encode(document))


def _dropped_key(number: int) -> bytes:
    return DROPPED + b"%019d" % number


def _account_key(namespace: Namespace) -> bytes:
    return ACCOUNTS + f"{namespace.region}/{namespace.account}".encode()


class DataParts(Struct, frozen=True):
    """What the parts of data streams share: made once by `engine.engine`, handed down."""

    committer: Committer
    catalog: Catalog
    streams: DataStreamCatalog
    log: ShardReader
    horizon: Horizon
    clock: Clock
    settings: EngineSettings
