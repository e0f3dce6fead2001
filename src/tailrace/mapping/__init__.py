"""The event source mapping: the machine that decides what happens to every record of a shard."""
