"""A Redshift warehouse as a sink: tables that mirror items, staged in S3, through two doors.

    dialect.py        its SQL, over the core in sinks/sql/. Pure
    values.py         values inside of statements, and what SUPER keeps of numbers. Pure
    errors.py         what its errors mean. Pure
    files.py          staged rows as Parquet and as JSON lines
    staging.py        these files in S3: written, removed
    doors.py          transactions over PostgreSQL's protocol
    data_api.py       the same over the Data API
    sink.py           `sinks.Redshift`

Rules of this file: names only. Decision 73, docs/redshift.md.
"""
