"""A search cluster in memory, as OpenSearch and Elasticsearch document theirs: for tests.

    with SearchServer() as server:
        app.sink(orders, sinks.OpenSearch(server.url, "orders"))

Theory of operation: types.py says what a mapping takes, matching.py what a search finds, cluster.py keeps
documents under their versions, server.py is the socket and the faults. It is written from the documentation,
and knows no more of it than sinks and their tests ask: what it does not know it refuses in words.
"""

from tailrace.testing.search.cluster import SearchCluster
from tailrace.testing.search.server import SearchServer

__all__ = ["SearchCluster", "SearchServer"]
