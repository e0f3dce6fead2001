"""Data streams as a region and account see them: one door to everything that operations and readers ask for.

Rules of this file: it joins the parts and repeats none of their methods. `engine.engine` makes `Kinesis`
once, and a `DataDoor` for each namespace.
"""

from collections.abc import Iterator

from tailrace.engine.catalog import Catalog, Namespace
from tailrace.engine.committer import Committer
from tailrace.engine.horizon import Horizon
from tailrace.engine.kinesis.catalog import DataParts, DataStreamCatalog
from tailrace.engine.kinesis.consumers import DataConsumers
from tailrace.engine.kinesis.describing import DataDescriptions
from tailrace.engine.kinesis.documents import DataStreamDocument
from tailrace.engine.kinesis.fan_out import FanOut
from tailrace.engine.kinesis.housekeeping import DataHousekeeping
from tailrace.engine.kinesis.lifecycle import DataStreams
from tailrace.engine.kinesis.putting import DataPuts
from tailrace.engine.kinesis.rates import DataRates
from tailrace.engine.kinesis.reading import DataReader
from tailrace.engine.kinesis.resharding import Resharding
from tailrace.engine.kinesis.resources import DataResources
from tailrace.engine.kinesis.stream_settings import StreamSettings
from tailrace.engine.reading import ShardReader
from tailrace.engine.settings import EngineSettings
from tailrace.ports import Clock


class Kinesis:
    """All data streams of an engine.

    Shape:   `reader` reads every shard, of whichever account it is.
    """

    def __init__(
        self,
        committer: Committer,
        catalog: Catalog,
        log: ShardReader,
        horizon: Horizon,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        streams = DataStreamCatalog(committer, catalog)
        self.parts = DataParts(committer, catalog, streams, log, horizon, clock, settings)
        self.rates = DataRates(self.parts)
        self.fan_out = FanOut(self.parts)
        self.reader = DataReader(self.parts)
        self._housekeeping = DataHousekeeping(self.parts, self.reader, self.rates)

    def load(self) -> None:
        """Read everything from the store. Raises: StoreError."""
        self.parts.streams.load()

    def documents(self) -> Iterator[DataStreamDocument]:
        """What is kept of every stream."""
        return (stream.document for stream in self.parts.streams.streams.values())

    def housekeeping(self) -> Iterator[Iterator[None]]:
        """The parts of one round, each in slices."""
        return self._housekeeping.parts()

    def newest_created_ms(self) -> int:
        """When the newest record of any open shard was written: times do not go back over a restart."""
        shards = [shard for stream in self.parts.streams.streams.values() for shard in stream.open_shards]
        return self.parts.log.newest_ms({shard.number: shard.created_ms for shard in shards})


class DataDoor:
    """The data streams of one account and region.

    Shape:   `streams` finds, makes and deletes them, `descriptions` tells them, `puts` writes records,
             `reader` reads shards, `fan_out` has who subscribed to them, `rates` holds them to their limits,
             `resharding` splits and merges, `consumers` are registered and looked up, `settings` are what
             else can be changed, `resources` are named by ARNs: their tags and policies.
    """

    def __init__(self, kinesis: Kinesis, namespace: Namespace) -> None:
        parts = kinesis.parts
        self.clock = parts.clock
        self.reader = kinesis.reader
        self.rates = kinesis.rates
        self.fan_out = kinesis.fan_out
        self.streams = DataStreams(parts, namespace)
        self.descriptions = DataDescriptions(parts, self.streams, self.reader)
        self.puts = DataPuts(parts, kinesis.rates)
        self.resharding = Resharding(parts, self.streams)
        self.consumers = DataConsumers(parts, self.streams)
        self.settings = StreamSettings(parts, self.streams, self.reader, namespace)
        self.resources = DataResources(parts, self.streams, self.consumers)
