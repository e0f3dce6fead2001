"""Mutants of destinations: what a write records, what a round delivers and trims, what waits and is given up.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

STATES: Final = "conformance/test_destinations.py"
ROUNDS: Final = "unit/engine/destinations/test_replication.py"
WAY: Final = "unit/engine/destinations/test_passage.py"
TABLE: Final = "properties/test_destinations.py"
FAULTS: Final = "unit/testing/test_kinesis_faults.py"

DESTINATIONS: Final = (
    Mutant(
        "overtaken-by-its-own-item", "engine/destinations/passage.py",
        "        if key in self._waiting:\n", "        if False:\n",
        "a later change of an item comes into the data stream before the one that its shard was too busy for",
        (WAY, ROUNDS),
    ),
    Mutant(
        "ahead-twice", "engine/destinations/passage.py",
        "        if number in self._ahead:\n", "        if False:\n",
        "what went ahead of a change that waits comes again with every round",
        (WAY, ROUNDS, TABLE),
    ),
    Mutant(
        "passed-while-it-waits", "engine/destinations/passage.py",
        "        self._looked += 1\n        self.is_whole = False\n", "        self._looked += 1\n",
        "a change that waits is trimmed with what went ahead of it",
        (WAY, ROUNDS, TABLE),
    ),
    Mutant(
        "into-a-stream-that-is-gone", "engine/destinations/replication.py",
        "            stream = self._targets.open(state.document)\n        if stream is None or",
        "        if stream is None or",
        "a stream that is deleted while a round is under way takes the rest of the round with it",
        (ROUNDS,),
    ),
    Mutant(
        "a-round-that-goes-on-after-a-failure", "engine/destinations/replication.py",
        "            if not self._goes_on(state, number):\n                return\n", "",
        "a round goes on with what a failed commit took back, and trims what was never delivered",
        (ROUNDS, TABLE),
    ),
    Mutant(
        "no-record-of-a-transaction", "engine/destinations/destinations.py",
        "            new_data, old_size = old_data, mutation.size\n", "            return\n",
        "a transaction that writes what is there has no record, which AWS has",
        (STATES, TABLE),
    ),
    Mutant(
        "a-condition-has-a-record", "engine/transact.py",
        "is_write = not isinstance(outcome.operation, ConditionCheck)", "is_write = True",
        "an item that a transaction only looks at has a record",
        (STATES,),
    ),
    Mutant(
        "given-up-a-moment-early", "engine/destinations/replication.py",
        "if record.created_ms >= self._wall_ms - KEPT_MS:\n                    state",
        "if record.created_ms > self._wall_ms - KEPT_MS:\n                    state",
        "a change that has waited a day to the millisecond is lost",
        (ROUNDS,),
    ),
    Mutant(
        "forgotten-with-its-table", "engine/destinations/replication.py",
        "self._catalog.table_of(state.document) is None and not state.has_work",
        "self._catalog.table_of(state.document) is None",
        "what was written before a table was deleted is lost",
        (ROUNDS,),
    ),
    Mutant(
        "before-an-earlier-table", "engine/destinations/replication.py",
        "        if self._is_behind_another(document):\n", "        if False:\n",
        "changes of a table overtake those of the deleted one of its name",
        (ROUNDS,),
    ),
    Mutant(
        "recorded-while-enabling", "engine/destinations/documents.py",
        'RECORDING: Final = frozenset({"ACTIVE"', 'RECORDING: Final = frozenset({"ENABLING", "ACTIVE"',
        "what was written before a destination was ACTIVE is copied",
        (STATES,),
    ),
    Mutant(
        "late-only-once", "engine/destinations/replication.py",
        '            passage.wait(record.key)\n            return "late"\n', '            return "late"\n',
        "a change that a test holds back is lost, or overtaken by its own item",
        (FAULTS,),
    ),
)  # fmt: skip
