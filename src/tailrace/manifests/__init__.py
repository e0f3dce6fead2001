"""The room of manifests: a table of files in an archive is the fold of numbered deltas, which also have the
positions of the shards that it is made from.

Floors: `core` ◆ is the law of deltas and the names of files, `run` writes and reads them in an archive. Lakes
(`sinks.lake`) and journals are such tables.
"""
