"""The eight mutants that survived all tests in November 2026, when they were first tried.

Rules of this file: as in mutants.py. Each has been caught since by a test that is named
after what goes wrong.
"""

from typing import Final

from tests.mutation.mutant import Mutant

SURVIVORS: Final = (
    Mutant(
        "parked-before-its-letters-are-saved", "mapping/parking.py",
        "if not self._ready or self._settlement.has_unsaved_letters:", "if not self._ready:",
        "a change given up by age is lost when its key is parked and the process is killed before "
        "the checkpoint",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "parked-while-a-half-has-the-key", "mapping/parking.py",
        "for key in [key for key in self._ready if not is_held(key)]:", "for key in list(self._ready):",
        "a later change in the other half of the batch is on its way while its key is parked and put back",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "notice-deleted-before-it-is-delivered", "deadletters/run/courier.py",
        "        tally = self._tallies.of(notice.handler)\n        try:\n",
        "        tally = self._tallies.of(notice.handler)\n        await "
        "self._state.transact([Write(key, None)])\n        try:\n",
        "a destination never hears of what was given up when the process is killed meanwhile",
        ("unit/deadletters/test_courier.py",),
    ),
    Mutant(
        "heads-loaded-before-the-lease", "worker/worker.py",
        "        lease = await self.leases.of(stream, shard, table.places(self.app.name, stream, shard))\n",
        "        start = await performer.perform(load_start(place, shard, CheckpointRow(1), \"\"))\n"
        "        lease = await self.leases.of(stream, shard, table.places(self.app.name, stream, shard))\n",
        "what the last owner parks meanwhile is not known: later changes of that key overtake it",
        ("unit/worker/test_worker.py",),
        moved=("        start = await performer.perform(loading)\n", ""),
    ),
    Mutant(
        "heads-of-every-shard", "runtime/starting.py",
        "        if shard.may_have(head.partition)\n", "        if True\n",
        "a machine takes keys of other shards for parked: its count, its bound and its words are wrong",
        ("unit/runtime/test_starting.py",),
    ),
    Mutant(
        "watermark-of-windows-is-now", "runtime/watermark.py",
        "            times.append(place.oldest.created_ms)\n", "            pass\n",
        "windows are closed while changes of theirs are still waiting",
        ("unit/runtime/test_watermark.py",),
    ),
    Mutant(
        "touched-note-removed-whatever-its-stamp", "windows/run/windowing.py",
        'Write(touched_key(self.owner, group, pane), None, Equals("stamp", stamp))',
        "Write(touched_key(self.owner, group, pane), None)",
        "a window that another worker touched meanwhile is not told again after a crash",
        ("unit/windows/test_windowing.py",),
    ),
    Mutant(
        "between-without-its-upper-bound", "expressions/condition.py",
        "(_ordered(operator.ge, value, reader(low)), _ordered(operator.le, value, reader(high)))",
        "(_ordered(operator.ge, value, reader(low)), _ordered(operator.ge, reader(high), reader(low)))",
        "a condition holds, and a filter lets pass, what is above the range",
        ("unit/expressions/test_condition.py",),
    ),
)  # fmt: skip
