"""OpenSearch and Elasticsearch as a mirror: one document an item, guarded by its version, deletions kept.

Theory of operation: documents are written through the alias `NAME-all`; the alias `NAME`, which readers
search, shows those that are not deleted. What decides (ids, fields, requests, answers) is pure and in files
of its own; index.py is the order in which things are asked, client.py the socket, sink.py what users declare.
Decision 70.
"""
