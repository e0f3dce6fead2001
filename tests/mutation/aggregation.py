"""Mutants of the Producer Library's aggregates: what is taken for one, and what is made of it.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

CODEC: Final = "unit/streams/kinesis/test_aggregation.py"
ORACLE: Final = "properties/test_aggregation.py"
DOORS: Final = "unit/app/test_user_records.py"

AGGREGATION: Final = (
    Mutant(
        "a-digest-that-is-not-looked-at", "streams/kinesis/aggregation.py",
        "if _digest_of(message) != digest:", "if not digest:",
        "a damaged aggregate is handed over as if it were whole",
        (CODEC, ORACLE, DOORS),
    ),
    Mutant(
        "keys-behind-their-table", "streams/kinesis/aggregation.py",
        "    if index >= len(keys):\n", "    if index > len(keys):\n",
        "a record whose key is missing ends its reader",
        (CODEC,),
    ),
    Mutant(
        "records-that-end-behind-their-message", "streams/kinesis/aggregation.py",
        "if length is None or place + length > len(message):", "if length is None:",
        "data that is cut is handed over as if it were whole",
        (CODEC,),
    ),
    Mutant(
        "empty-data-taken-for-none", "streams/kinesis/aggregation.py",
        "if data is None or PARTITION_KEY_INDEX not in indexes:",
        "if not data or PARTITION_KEY_INDEX not in indexes:",
        "one record without bytes keeps the others of its aggregate from being read",
        (CODEC, ORACLE),
    ),
    Mutant(
        "the-first-hash-key-for-all", "streams/kinesis/aggregation.py",
        "_at(hash_keys, hash_key_index)", "_at(hash_keys, 0)",
        "user records are told to belong to another shard",
        (ORACLE,),
    ),
    Mutant(
        "an-aggregate-put-by-its-partition-key", "streams/kinesis/aggregation.py",
        "str(first.hash_key)", "None",
        "all aggregates go to one shard, whatever is in them",
        (CODEC,),
    ),
    Mutant(
        "sub-sequence-numbers-from-one", "app/user_records.py",
        "for place, user in enumerate(users):", "for place, user in enumerate(users, 1):",
        "a function that skips what it has done skips one too few",
        (DOORS,),
    ),
)  # fmt: skip
