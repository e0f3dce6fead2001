"""A small model of a KCL consumer of a DynamoDB stream, with its leases in a table: for tests that hand over
between it and tailrace.

Theory of operation: one worker of one process, without threads: it syncs leases with the shards of a stream,
reads each shard behind its checkpoint after its parents have ended, hands records to the test, checkpoints
when it is told to, and makes the leases of children as a shard ends. Rows have the attributes of a version.
Rules of this file: written from reference/semantics §4 and reference/fleet §2, with nothing imported of
tailrace; HTTP by the standard library. Numbers are compared as integers, as KCL compares them.
"""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any, Literal

from tests.crash.node import HEADERS
from tests.patience import PATIENCE_S

Form = Literal["1", "2", "3", "3.5"]
STREAMS = "DynamoDBStreams_20120810"
DYNAMODB = "DynamoDB_20120810"
WORKER = "10.0.0.9:model"


class Refused(Exception):
    """An answer that says no, by AWS's code."""


class KclModel:
    """A consumer of one stream. Shape: `seen` are the changes that it was handed, as key and `n`, in
    order."""

    def __init__(
        self,
        port: int,
        leases: str,
        table: str = "orders",
        *,
        form: Form = "2",
        several_streams: bool = False,
        initial: Literal["TRIM_HORIZON", "LATEST"] = "TRIM_HORIZON",
    ) -> None:
        self.leases, self.form, self.initial = leases, form, initial
        self.seen: list[tuple[str, int]] = []
        self._port = port
        self._table = table
        self._several = several_streams
        self._iterators: dict[str, str] = {}

    def call(self, target: str, operation: str, **members: Any) -> dict[str, Any]:
        """One request. Raises: Refused."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            headers = {**HEADERS, "X-Amz-Target": f"{target}.{operation}"}
            connection.request("POST", "/", json.dumps(members), headers)
            answer = connection.getresponse()
            body: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(body["__type"].rpartition("#")[2])
        return body

    # ---- the stream ----------------------------------------------------------------------------------------

    @property
    def arn(self) -> str:
        """The table's present stream."""
        return str(self.call(DYNAMODB, "DescribeTable", TableName=self._table)["Table"]["LatestStreamArn"])

    def shards(self) -> dict[str, dict[str, Any]]:
        """Every shard of it, by id."""
        shards: dict[str, dict[str, Any]] = {}
        members: dict[str, Any] = {"StreamArn": self.arn}
        while True:
            page = self.call(STREAMS, "DescribeStream", **members)["StreamDescription"]
            shards |= {shard["ShardId"]: shard for shard in page["Shards"]}
            if "LastEvaluatedShardId" not in page:
                return shards
            members["ExclusiveStartShardId"] = page["LastEvaluatedShardId"]

    # ---- leases --------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the lease table."""
        self.call(
            DYNAMODB,
            "CreateTable",
            TableName=self.leases,
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        if self.form == "3.5":
            for kind, key in (("LEADER", "Leader"), ("TABLE_MIGRATION", "TableMigration3.5")):
                row = {"leaseKey": {"S": key}, "entityType": {"S": kind}, "checkpoint": {"S": "no lease"}}
                self.call(DYNAMODB, "PutItem", TableName=self.leases, Item=row)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Leases by shard, without the rows that are none."""
        items = self.call(DYNAMODB, "Scan", TableName=self.leases, ConsistentRead=True)["Items"]
        leases = [item for item in items if item.get("entityType", {"S": "LEASE"})["S"] == "LEASE"]
        ours = [item for item in leases if not self._several or item["streamName"]["S"] == self._identifier]
        return {item["shardId"]["S"] if self._several else item["leaseKey"]["S"]: item for item in ours}

    def checkpoints(self) -> dict[str, str]:
        """The checkpoint of each shard's lease."""
        return {shard: item["checkpoint"]["S"] for shard, item in self.rows().items()}

    @property
    def _identifier(self) -> str:
        _, _, _, region, account, path = self.arn.split(":", 5)
        _, table, _, label = path.split("/")
        return f"{account}:{region}${account}${table}${label.replace(':', '_')}:1"

    def sync(self) -> None:
        """Make the leases of open shards, and of what came before them, where nothing of a line has one."""
        shards, leased = self.shards(), self.rows()
        closed = {parent for shard in shards.values() for parent in self._parents(shard)}
        for shard_id, shard in shards.items():
            is_open = "EndingSequenceNumber" not in shard["SequenceNumberRange"] and shard_id not in closed
            if is_open and shard_id not in leased:
                self._lease_line(shard, shards, leased)

    def _lease_line(
        self, shard: dict[str, Any], shards: dict[str, dict[str, Any]], leased: dict[str, Any]
    ) -> bool:
        """Whether a lease of its line is there already; else those of the whole line are made."""
        continues = False
        for parent in self._parents(shard):
            if parent in leased:
                continues = True
            elif parent in shards:
                continues = self._lease_line(shards[parent], shards, leased) or continues
        self._make(shard, "TRIM_HORIZON" if continues else self.initial)
        return True

    def _make(self, shard: dict[str, Any], checkpoint: str) -> None:
        shard_id = shard["ShardId"]
        key = f"{self._identifier}:{shard_id}" if self._several else shard_id
        item: dict[str, Any] = {
            "leaseKey": {"S": key},
            "leaseCounter": {"N": "0"},
            "checkpoint": {"S": checkpoint},
            "checkpointSubSequenceNumber": {"N": "0"},
            "ownerSwitchesSinceCheckpoint": {"N": "0"},
        }
        if parents := self._parents(shard):
            item["parentShardId"] = {"SS": parents}
        if self._several:
            item |= {"streamName": {"S": self._identifier}, "shardId": {"S": shard_id}}
        if self.form != "1":
            item |= {"startingHashKey": {"S": "0"}, "endingHashKey": {"S": "1"}}
        if self.form in ("3", "3.5"):
            item["throughputKBps"] = {"N": "0"}
        if self.form == "3.5":
            item["entityType"] = {"S": "LEASE"}
        try:
            self.call(
                DYNAMODB,
                "PutItem",
                TableName=self.leases,
                Item=item,
                ConditionExpression="attribute_not_exists(leaseKey)",
            )
        except Refused as refused:
            if "ConditionalCheckFailed" not in str(refused):
                raise

    def renew(self) -> None:
        """Take every lease, or say that it lives."""
        for item in self.rows().values():
            self._update(item, "SET leaseOwner = :owner ADD leaseCounter :one", {":owner": {"S": WORKER}})

    def stop(self) -> None:
        """Give every lease back."""
        for item in self.rows().values():
            self._update(item, "REMOVE leaseOwner ADD leaseCounter :one", {})
        self._iterators.clear()

    def checkpoint(self, shard_id: str, text: str, children: tuple[str, ...] = ()) -> None:
        """Say how far a shard is processed."""
        values: dict[str, Any] = {":text": {"S": text}, ":none": {"N": "0"}}
        change = "SET checkpoint = :text, checkpointSubSequenceNumber = :none"
        if children and self.form != "1":
            change = f"{change}, childShardIds = :children"
            values[":children"] = {"SS": [*children]}
        self._update(self.rows()[shard_id], f"{change} ADD leaseCounter :one", values)

    def _update(self, item: dict[str, Any], change: str, values: dict[str, Any]) -> None:
        self.call(
            DYNAMODB,
            "UpdateItem",
            TableName=self.leases,
            Key={"leaseKey": item["leaseKey"]},
            UpdateExpression=change,
            ExpressionAttributeValues={**values, ":one": {"N": "1"}},
        )

    # ---- work ----------------------------------------------------------------------------------------------

    def run(self, most: int | None = None, *, checkpoints: bool = True) -> int:
        """Process what there is, at most so many records. Returns: how many. Shape: with `checkpoints` each
        page is checkpointed; the end of a shard always is.
        """
        self.sync()
        self.renew()
        processed, moved = 0, True
        while moved and (most is None or processed < most):
            moved = False
            for shard_id, text in sorted(self.checkpoints().items()):
                left = None if most is None else most - processed
                if text == "SHARD_END" or self._is_blocked(shard_id) or left == 0:
                    continue
                for record in self._page(shard_id, text, left, checkpoints=checkpoints):
                    (key,) = record["Keys"].values()
                    self.seen.append((key["S"], int(record["NewImage"]["n"]["N"])))
                    processed, moved = processed + 1, True
                moved = moved or self.checkpoints()[shard_id] == "SHARD_END"
        return processed

    def _is_blocked(self, shard_id: str) -> bool:
        """Whether a parent that has a lease has not ended."""
        leases = self.rows()
        parents = leases[shard_id].get("parentShardId", {"SS": []})["SS"]
        return any(leases[parent]["checkpoint"]["S"] != "SHARD_END" for parent in parents if parent in leases)

    def _page(
        self, shard_id: str, text: str, most: int | None, *, checkpoints: bool
    ) -> Iterator[dict[str, Any]]:
        answer = self._records(shard_id, text, {} if most is None else {"Limit": min(most, 1_000)})
        records = [record["dynamodb"] for record in answer["Records"]]
        if text.isdigit():
            records = [record for record in records if int(record["SequenceNumber"]) > int(text)]
        yield from records
        if records and checkpoints:
            self.checkpoint(shard_id, records[-1]["SequenceNumber"])
        following = answer.get("NextShardIterator")
        if following is not None:
            self._iterators[shard_id] = following
            return
        shards = self.shards()
        children = [other for other in shards.values() if shard_id in self._parents(other)]
        for child in children:
            self._make(child, "TRIM_HORIZON")
        self.checkpoint(shard_id, "SHARD_END", tuple(child["ShardId"] for child in children))

    def _records(self, shard_id: str, text: str, members: dict[str, int]) -> dict[str, Any]:
        """A page, by the iterator of the one before; one that has expired is made anew at the checkpoint."""
        kept = self._iterators.pop(shard_id, "")
        if kept:
            try:
                return self.call(STREAMS, "GetRecords", ShardIterator=kept, **members)
            except Refused as refused:
                if "ExpiredIterator" not in str(refused):
                    raise
        return self.call(STREAMS, "GetRecords", ShardIterator=self._iterator(shard_id, text), **members)

    def _iterator(self, shard_id: str, text: str) -> str:
        members: dict[str, Any] = {"StreamArn": self.arn, "ShardId": shard_id, "ShardIteratorType": text}
        if text.isdigit():
            members |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": text}
        return str(self.call(STREAMS, "GetShardIterator", **members)["ShardIterator"])

    @staticmethod
    def _parents(shard: dict[str, Any]) -> list[str]:
        return [shard["ParentShardId"]] if "ParentShardId" in shard else []
