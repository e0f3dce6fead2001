"""What a data stream of Kinesis is: hash ranges, shards, sequence numbers, records, iterators, limits."""
