"""What one process runs of an app: its leases, the tables that it follows, a driver for every mapping and
shard, and who works beside them."""
