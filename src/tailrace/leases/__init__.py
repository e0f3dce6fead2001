"""Who reads which shard: layouts and transitions of leases and checkpoints."""
