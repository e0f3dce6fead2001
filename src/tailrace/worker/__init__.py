"""What one process runs of an app: leases, followed tables, a driver a mapping and shard, and who works
beside.
"""
