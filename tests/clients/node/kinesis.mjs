// The AWS SDK for JavaScript v3 on Kinesis, unmodified: HTTP/2 by prior knowledge, as it is by default: `node kinesis.mjs ENDPOINT STREAM`.
// Prints what it saw as JSON.

import assert from "node:assert/strict";
import {
  CreateStreamCommand, DeleteStreamCommand, DescribeStreamConsumerCommand, GetRecordsCommand, GetShardIteratorCommand, KinesisClient,
  ListShardsCommand, PutRecordsCommand, RegisterStreamConsumerCommand, ResourceInUseException, ResourceNotFoundException,
  SplitShardCommand, SubscribeToShardCommand, waitUntilStreamExists,
} from "@aws-sdk/client-kinesis";

const [endpoint, StreamName] = process.argv.slice(2);
const client = new KinesisClient({ endpoint, region: "eu-central-1", credentials: { accessKeyId: "any", secretAccessKey: "any" } });
const protocol = client.config.requestHandler.metadata?.handlerProtocol;
const text = (record) => Buffer.from(record.Data).toString();

await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }));
await waitUntilStreamExists({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 }, { StreamName });
const { Shards: [{ ShardId, HashKeyRange }] } = await client.send(new ListShardsCommand({ StreamName }));
const put = (...texts) => client.send(new PutRecordsCommand({
  StreamName, Records: texts.map((value) => ({ PartitionKey: "a", Data: Buffer.from(value) })),
}));
const { Records: [first] } = await put("zero");
assert.match(first.SequenceNumber, /^\d{56}$/);

const { ShardIterator } = await client.send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" }));
const { Records } = await client.send(new GetRecordsCommand({ ShardIterator }));
assert.deepEqual(Records.map(text), ["zero"]);
await assert.rejects(client.send(new ListShardsCommand({ StreamName: "nothing" })), ResourceNotFoundException);

const StreamARN = `arn:aws:kinesis:eu-central-1:000000000000:stream/${StreamName}`;
const { Consumer: { ConsumerARN } } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "mail" }));
assert.equal((await client.send(new DescribeStreamConsumerCommand({ ConsumerARN }))).ConsumerDescription.ConsumerStatus, "ACTIVE");

const subscribe = () => client.send(new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" } }));
const { EventStream } = await subscribe();
await assert.rejects(subscribe(), ResourceInUseException);
const seen = [];
const numbers = [];
let children = [];
for await (const event of EventStream) {
  const told = event.SubscribeToShardEvent;
  seen.push(...told.Records.map(text));
  numbers.push(told.ContinuationSequenceNumber ?? null);
  children = (told.ChildShards ?? []).map((shard) => shard.ShardId);
  if (seen.length === 1) await put("one", "two");
  if (seen.length === 3 && told.ContinuationSequenceNumber) {
    await client.send(new SplitShardCommand({
      StreamName, ShardToSplit: ShardId, NewStartingHashKey: String((BigInt(HashKeyRange.EndingHashKey) + 1n) / 2n),
    }));
  }
}
await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
client.destroy();
console.log(JSON.stringify({ protocol, seen, last: numbers.at(-1), children }));
