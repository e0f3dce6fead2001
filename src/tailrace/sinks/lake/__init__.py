"""Parquet files of a directory or a bucket as a table: a manifest, what it names, readers, compaction.

    manifest.py       what a table of files is: numbered deltas, folded; which part of one is void. Pure
    log.py            the manifest in an archive: read, appended to, never listed
    rows.py           changes → rows in columns, kinds → types
    parquet.py        rows ⇄ bytes of files, and parts of files by their footers
    folding.py        of each key the newest row; digests
    table.py          a table: batches written, positions, sources, columns that grow
    compaction.py     small files → large ones; files that nothing names any more
    mirror.py         the rows of a merged table: compared, swept, mended, forgotten
    reading.py        what readers need: files, questions, all rows
    sink.py           `sinks.ParquetLake` and `sinks.ParquetLog`

Rules of this file: names only. Decision 71, docs/formats/lake.md.
"""
