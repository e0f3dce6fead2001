"""DynamoDB's limits, each with its source.

Rules of this file: constants only; the text of an error lives beside the check that raises it. Called by
`tables` and `engine`.
"""

from typing import Final

ITEM_BYTES: Final = 400 * 1024
"""Largest item, names and values together. Source: semantics §6.3."""
PARTITION_KEY_BYTES: Final = 2_048
SORT_KEY_BYTES: Final = 1_024
"""Largest key attributes. Source: semantics §6.3."""
PAGE_BYTES: Final = 1_048_576
"""What one Query or Scan evaluates; the item that crosses it is still included. Source: semantics §6.6."""
RECORDS_PAGE_BYTES: Final = 1_048_576
RECORDS_PAGE: Final = 1_000
"""What one GetRecords answers. Source: semantics §1.6."""
TRANSACTION_ACTIONS: Final = 100
TRANSACTION_BYTES: Final = 4 * 1024 * 1024
"""What one transaction holds. Source: semantics §6.3."""
LIST_PAGE: Final = 100
"""ListTables, ListStreams and DescribeStream answer at most this many. Source: semantics §1.1, §6.11."""
TABLES: Final = 2_500
"""Tables per account and Region: AWS's default quota. Source: AWS Developer Guide, "Quotas"."""
SHARDS_PER_STREAM: Final = 1_024
"""More initial shards than this is a slip of the hand, not a need."""
GLOBAL_INDEXES: Final = 20
LOCAL_INDEXES: Final = 5
"""Indexes of one table. Source: semantics §6.3."""
PROJECTED_ATTRIBUTES: Final = 100
"""NonKeyAttributes of all indexes of one table together. Source: semantics §6.3."""
INDEX_HASH_ATTRIBUTES: Final = 4
INDEX_RANGE_ATTRIBUTES: Final = 4
"""Key attributes of one global index. Source: semantics §6.6."""
COLLECTION_BYTES: Final = 10 * 1024**3
"""Items of one partition key and their entries in local indexes. Source: semantics §6.3."""
TAGS: Final = 50
"""Tags of one table. Source: semantics §6.3."""
POLICY_BYTES: Final = 20 * 1024
"""Largest resource policy, white space included. Source: AWS Developer Guide, "Resource-based policies"."""
