"""A stream is made again, and the old cursor points past everything in it (floci #2076).

In the wild: an emulator counted the records of every stream from 1, and kept a mapping's cursor by the name
of the table. After the table had been made again the old cursor was higher than any record of the new stream:
nothing was delivered until the count had caught up.

Here: sequence numbers never repeat and never begin again, and a position belongs to a shard of a stream,
which has a label of its own.
"""

from dataclasses import dataclass, field

from tests.museum.stage import RIGHT, Stage

STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@dataclass
class Emulator:
    """Streams that count from 1, and a mapping on each. The mistake: its cursor is kept
    by the table's name.
    """

    streams: dict[str, list[str]] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)

    def create(self, table: str) -> None:
        self.streams[table] = []
        self.cursors.setdefault(table, 0)

    def put(self, table: str, name: str) -> None:
        self.streams[table].append(name)

    def poll(self) -> None:
        for table, records in self.streams.items():
            for number, name in enumerate(records, start=1):
                if number > self.cursors[table]:
                    self.delivered.append(name)
                    self.cursors[table] = number


def test_the_model_delivers_nothing_of_the_new_stream() -> None:
    emulator = Emulator()
    for names in (["a1", "b1", "c1"], ["a2", "b2"]):
        emulator.create("orders")
        for name in names:
            emulator.put("orders", name)
        emulator.poll()
    assert emulator.delivered == ["a1", "b1", "c1"]


def test_ours_delivers_everything() -> None:
    with Stage() as stage:
        client = stage.world.client("dynamodb")
        stage.put("a", "b", "c")
        stage.world.settle()
        client.delete_table(TableName="orders")
        client.create_table(
            TableName="orders",
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification=STREAM,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        stage.world.advance("20m")
        stage.put("a", "b")
        assert stage.judge_ours() == RIGHT
