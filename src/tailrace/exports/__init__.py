"""The room of exports: what DynamoDB writes to S3 when a table is exported, read again.

Floors: `core` ◆ says what manifests, data files and lines hold and which exports join to a chain, `run` lists
exports and reads them page by page. Where the files are, say the adapters of sources/export_files.py.
"""
