"""Mutants of the engine, the store, expressions, values and patterns.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

COMMITTER: Final = "unit/engine/test_committer.py"
STREAMS: Final = "unit/engine/test_streams.py"
CHECKSUMS: Final = "unit/stores/test_checksums.py"
QUERY: Final = "unit/engine/test_query.py"

DATA: Final = (
    Mutant(
        "group-outlives-a-failed-commit", "engine/committer.py",
        "            self._group = _Group()\n            self.failures += 1",
        "            self.failures += 1",
        "what was decided over writes that are gone is committed all the same",
        (COMMITTER,),
    ),
    Mutant(
        "page-misses-rows-behind-removed-ones", "engine/committer.py",
        "self.store.query(table, first, last, limit + removed, reverse=reverse)",
        "self.store.query(table, first, last, limit, reverse=reverse)",
        "a Query ends early where rows were just deleted",
        (COMMITTER, "unit/engine/test_paging.py", "properties/test_engine.py"),
    ),
    Mutant(
        "older-group-over-the-newer", "engine/committer.py",
        "        rows = self._group.rows.get(table)\n        if rows is not None and key in rows:\n  "
        "          return rows[key]\n        if self._flying",
        "        if self._flying is None and (rows := self._group.rows.get(table)) is not None and "
        "key in rows:\n            return rows[key]\n        if self._flying",
        "a read while a commit is under way does not see what was written since",
        (COMMITTER,),
    ),
    Mutant(
        "shard-ends-before-its-last-commit", "engine/reading.py",
        "may_end = shard.ending is not None and not self._committer.is_pending(shard.number)\n"
        "        removed", "may_end = shard.ending is not None\n        removed",
        "a reader takes a shard for finished while its last records are being committed: they are lost",
        (STREAMS,),
    ),
    Mutant(
        "trimmed-before-it-was-read-is-silent", "engine/reading.py",
        "trimmed=0 < after < start,", "trimmed=0 > after,",
        "records that were trimmed before they were read are lost in silence",
        (STREAMS,),
    ),
    Mutant(
        "counts-of-tables-stay-in-memory", "engine/committer.py",
        "        for add in self._group.last:\n            add()\n", "",
        "after a restart a table has as many items as before its last writes",
        ("unit/engine/test_lifecycle.py", "unit/engine/test_engine.py"),
    ),
    Mutant(
        "jumps-add-up-unseen", "engine/expiry.py",
        "        self._horizon.look()\n", "",
        "a laptop that sleeps often for less than an hour keeps what is older than a day",
        ("unit/engine/test_horizon.py",),
    ),
    Mutant(
        "record-gone-a-moment-early", "engine/reading.py",
        "if rows and created_ms(rows[0]) < moment_ms:", "if rows and created_ms(rows[0]) <= moment_ms:",
        "AT_TIMESTAMP skips the records of that very moment, and the trim takes them",
        (STREAMS, "unit/engine/test_horizon.py"),
    ),
    Mutant(
        "numbers-issued-twice", "engine/catalog.py",
        "            self.last_sequence = self._reserved\n", "            self.last_sequence = 0\n",
        "after a restart with an older clock sequence numbers are issued a second time",
        ("unit/engine/test_sequences.py",),
    ),
    Mutant(
        "block-of-numbers-is-not-synced", "engine/catalog.py",
        "            self._committer.need_sync()\n", "",
        "power loss forgets a block whose numbers a reader has seen",
        ("unit/engine/test_sequences.py",),
    ),
    Mutant(
        "transaction-decided-on-what-was-there-before", "engine/transact.py",
        "outcome if self._is_fresh(outcome) else self._outcome(outcome.operation)", "outcome",
        "a write between two slices of a transaction is undone by it",
        ("unit/engine/test_transact.py", "unit/server/test_slicing.py", "unit/engine/test_judgement.py"),
    ),
    Mutant(
        "half-a-transaction", "engine/transact.py",
        "    if len(results) < len(actions):\n        raise cancelled(reasons)\n",
        "    if not results:\n        raise cancelled(reasons)\n",
        "a transaction writes what it can of itself",
        ("unit/engine/test_transact.py",),
    ),
    Mutant(
        "between-without-its-end", "engine/query.py",
        'return Range(low, prefix + schema.sort_bytes(sort.high) + b"\\0")',
        "return Range(low, prefix + schema.sort_bytes(sort.high))",
        "a Query with BETWEEN leaves out the item at its upper bound",
        (QUERY, "properties/test_engine.py"),
    ),
    Mutant(
        "greater-is-greater-or-equal", "engine/query.py",
        'return Range(low + b"\\0", end)', "return Range(low, end)",
        "a Query with > answers the item at its bound",
        (QUERY, "properties/test_engine.py"),
    ),
    Mutant(
        "begins-with-has-no-end", "engine/query.py",
        "return Range(low, following_prefix(low))", "return Range(low, end)",
        "a Query with begins_with answers everything that comes after",
        (QUERY, "properties/test_engine.py"),
    ),
    Mutant(
        "record-after-is-record-at", "stores/sqlite.py",
        "FROM log WHERE key>? AND key<?", "FROM log WHERE key>=? AND key<?",
        "every read of the log repeats the last record",
        ("contracts/test_store.py",),
    ),
    Mutant(
        "sync-that-was-asked-for", "stores/sqlite.py",
        "if commit.sync and self._sync", "if commit.sync is None and self._sync",
        "power loss forgets a commit that was to survive it",
        ("unit/stores/test_sqlite.py", "contracts/test_store.py"),
    ),
    Mutant(
        "commit-on-what-another-has-changed", "stores/sqlite.py",
        "if not is_busy(error):", "if True:",
        "a commit fails because another process wrote between the reads of its turn and it",
        ("unit/stores/test_reads_of_a_turn.py",),
    ),
    Mutant(
        "first-write-of-a-row-wins", "stores/sqlite.py",
        "{(row.table, row.key): row.value for row in commit.rows}",
        "{(row.table, row.key): row.value for row in reversed(commit.rows)}",
        "of two writes of one row in a commit the older one stays",
        ("contracts/test_store.py",),
    ),
    Mutant(
        "damaged-row-is-served", "stores/sqlite.py",
        "and checksum != crc32(value, crc32(key, table))", "and checksum is value",
        "an item with a flipped bit is answered as if it were whole",
        (CHECKSUMS,),
    ),
    Mutant(
        "checksum-of-the-value-alone", "stores/checksums.py",
        "return crc32(value, crc32(key, table))", "return crc32(value)",
        "a value in the place of another one passes for whole",
        (CHECKSUMS,),
    ),
    Mutant(
        "actions-see-each-other", "expressions/update.py",
        "        for name, decide in flat:\n            value = decide(item, values)\n",
        "        for name, decide in flat:\n            value = decide(after, values)\n",
        "SET a = b, b = a gives both the same value",
        ("unit/expressions/test_update.py",),
    ),
    Mutant(
        "added-set-forgets-the-old", "expressions/update.py",
        "[*old[kind], *set(operand[kind]).difference(old[kind])]",
        "[*set(operand[kind]).difference(old[kind])]",
        "ADD to a set replaces it",
        ("unit/expressions/test_update.py",),
    ),
    Mutant(
        "value-before-name-is-not-turned", "expressions/keys.py",
        "return name, One(FLIPPED[operator], _value(left))", "return name, One(operator, _value(left))",
        "`:s < sk` is taken for `sk < :s`",
        ("unit/expressions/test_keys.py",),
    ),
    Mutant(
        "unequal-needs-a-value", "expressions/condition.py",
        "return value is None or value != right(item, values)",
        "return value is not None and value != right(item, values)",
        "`<>` fails for an attribute that is not there",
        ("unit/expressions/test_condition.py",),
    ),
    Mutant(
        "numbers-compared-as-doubles", "values/canonical.py",
        "return -1 if Decimal(a) < Decimal(b) else 1", "return -1 if float(a) < float(b) else 1",
        "numbers that differ in their last digits are ordered wrongly",
        ("unit/values/test_number.py",),
    ),
    Mutant(
        "sum-of-28-digits", "values/canonical.py",
        "return normalise(str(EXACT.add(Decimal(a), Decimal(b))))",
        "return normalise(str(Decimal(a) + Decimal(b)))",
        "ADD loses the last digits of a long number",
        ("unit/values/test_number.py",),
    ),
    Mutant(
        "negative-numbers-without-an-end", "values/canonical.py",
        'return b"\\x7f" + magnitude.translate(INVERTED) + b"\\xff" if negative',
        'return b"\\x7f" + magnitude.translate(INVERTED) if negative',
        "a Query answers negative numbers in the wrong order",
        ("unit/values/test_order.py",),
    ),
    Mutant(
        "zero-byte-inside-a-key", "values/canonical.py",
        'return data.replace(b"\\x00", b"\\x00\\xff") + b"\\x00\\x01"', 'return data + b"\\x00\\x01"',
        "the items of one partition key stand among those of another",
        ("unit/values/test_order.py", "properties/test_values.py"),
    ),
    Mutant(
        "open-bound-is-closed", "patterns/matching.py",
        "is_above = gt if bottom and bottom.is_open else ge", "is_above = ge",
        'a filter {"numeric": [">", 0]} lets 0 pass',
        ("unit/patterns/test_pattern.py",),
    ),
    Mutant(
        "wildcard-ends-overlap", "patterns/matching.py",
        "if not isinstance(leaf, str) or len(leaf) < least:", "if not isinstance(leaf, str):",
        'a filter {"wildcard": "ab*ba"} lets "aba" pass',
        ("unit/patterns/test_pattern.py", "properties/test_patterns.py"),
    ),
    Mutant(
        "scalars-are-elements-of-their-arrays", "patterns/fields.py",
        "inside = {**within, way: index} if isinstance(element, dict | list) else within",
        "inside = {**within, way: index}",
        "an event bus filter on a scalar and on an object in one array never matches",
        ("unit/patterns/test_pattern.py", "properties/test_patterns.py"),
    ),
    Mutant(
        "one-write-forgets-absence", "expressions/composing.py",
        "        self._require_one_view_of_absence(second)\n", "",
        "two writes of a transaction, of which the first passes an absent item by, fail as one",
        ("unit/app/test_transaction.py",),
    ),
    Mutant(
        "gzip-members-with-a-limit-each", "api/encoding.py",
        "        room -= len(piece)\n", "        room = limit - len(piece)\n",
        "a small request of many members fills the memory",
        ("unit/api/test_encoding.py",),
    ),
    Mutant(
        "put-beyond-its-size-cancels", "api/dynamodb/transact_write_items.py",
        "        require_room(operation.item)", "        operation.item  # noqa: B018",
        "a client that retries cancelled transactions retries one that can never be",
        ("conformance/test_transact_write_items.py",),
    ),
)  # fmt: skip
