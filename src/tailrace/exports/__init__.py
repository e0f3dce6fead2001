"""The room of exports: what DynamoDB writes to S3 when a table is exported, read again, and written.

Floors: `core` ◆ says what manifests, data files and lines hold, how an export is laid out and which join to a
chain; `run` lists exports, reads them page by page, and writes them. Where the files are, say the adapters of
sources/export_files.py.
"""
