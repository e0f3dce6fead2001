// The AWS SDK for JavaScript v3, unmodified, doing real work: `node work.mjs ENDPOINT TABLE`. Prints what it saw as JSON.

import assert from "node:assert/strict";
import {
  ConditionalCheckFailedException, CreateTableCommand, DeleteTableCommand, DescribeTableCommand, DynamoDBClient,
  TransactionCanceledException, waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import {
  BatchWriteCommand, DynamoDBDocumentClient, GetCommand, paginateQuery, PutCommand, TransactWriteCommand, UpdateCommand,
} from "@aws-sdk/lib-dynamodb";

const [endpoint, TableName] = process.argv.slice(2);
const settings = { endpoint, region: "eu-central-1", credentials: { accessKeyId: "any", secretAccessKey: "any" } };
const client = new DynamoDBClient(settings);
const documents = DynamoDBDocumentClient.from(client);
const streams = new DynamoDBStreamsClient(settings);

await client.send(new CreateTableCommand({
  TableName, BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: ["pk", "sk", "mail"].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
  GlobalSecondaryIndexes: [
    { IndexName: "by-mail", KeySchema: [{ AttributeName: "mail", KeyType: "HASH" }], Projection: { ProjectionType: "ALL" } },
  ],
  StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
}));
await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 }, { TableName });

const item = { pk: "a", sk: "0", n: 1, big: 12345678901234, list: [1, "two", null], set: new Set(["x", "y"]), raw: new Uint8Array([1, 2]), mail: "a@b" };
await documents.send(new PutCommand({ TableName, Item: item }));
const found = (await documents.send(new GetCommand({ TableName, Key: { pk: "a", sk: "0" }, ConsistentRead: true }))).Item;
assert.deepEqual({ ...found, set: [...found.set].sort(), raw: [...found.raw] }, { ...item, set: ["x", "y"], raw: [1, 2] });

await assert.rejects(
  documents.send(new PutCommand({ TableName, Item: item, ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" })),
  (error) => error instanceof ConditionalCheckFailedException && error.Item.n.N === "1",
);
const updated = await documents.send(new UpdateCommand({
  TableName, Key: { pk: "a", sk: "0" }, UpdateExpression: "SET #n = #n + :one", ExpressionAttributeNames: { "#n": "n" },
  ExpressionAttributeValues: { ":one": 1 }, ReturnValues: "UPDATED_NEW",
}));
assert.equal(updated.Attributes.n, 2);

await documents.send(new BatchWriteCommand({
  RequestItems: { [TableName]: Array.from({ length: 25 }, (_, i) => ({ PutRequest: { Item: { pk: "b", sk: String(i).padStart(3, "0") } } })) },
}));
const keys = [];
for await (const page of paginateQuery({ client: documents, pageSize: 10 }, {
  TableName, KeyConditionExpression: "pk = :b", ExpressionAttributeValues: { ":b": "b" },
})) keys.push(...page.Items.map((each) => each.sk));
assert.equal(keys.length, 25);
assert.deepEqual(keys, [...keys].sort());
for await (const page of paginateQuery({ client: documents }, {
  TableName, IndexName: "by-mail", KeyConditionExpression: "mail = :m", ExpressionAttributeValues: { ":m": "a@b" },
})) assert.deepEqual(page.Items.map((each) => each.pk), ["a"]);

await assert.rejects(
  documents.send(new TransactWriteCommand({
    TransactItems: [
      { Put: { TableName, Item: { pk: "c", sk: "0" } } },
      { ConditionCheck: { TableName, Key: { pk: "no", sk: "no" }, ConditionExpression: "attribute_exists(pk)" } },
    ],
  })),
  (error) => error instanceof TransactionCanceledException
    && error.CancellationReasons.map((reason) => reason.Code).join() === "None,ConditionalCheckFailed",
);

const { Table } = await client.send(new DescribeTableCommand({ TableName }));
const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn: Table.LatestStreamArn }));
const names = [];
for (const shard of StreamDescription.Shards) {
  let { ShardIterator } = await streams.send(new GetShardIteratorCommand({
    StreamArn: Table.LatestStreamArn, ShardId: shard.ShardId, ShardIteratorType: "TRIM_HORIZON",
  }));
  const { Records } = await streams.send(new GetRecordsCommand({ ShardIterator }));
  names.push(...Records.map((record) => record.eventName));
}
await client.send(new DeleteTableCommand({ TableName }));
console.log(JSON.stringify({ keys: keys.length, records: names.length, first: names.slice(0, 2) }));
