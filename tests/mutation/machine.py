"""Mutants of the delivery machine: mapping/.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

SCENARIOS: Final = "scenarios/test_scenarios.py"
SHARD: Final = "unit/mapping/test_shard.py"
WHOLE: Final = "unit/mapping/test_contiguous.py"

MACHINE: Final = (
    Mutant(
        "last-of-a-settled-range-is-open", "mapping/settlement.py",
        "record.sequence <= self._restored[place][1]", "record.sequence < self._restored[place][1]",
        "a restart repeats the last change of every range that was settled above the watermark",
        ("unit/mapping/test_watermark.py",),
    ),
    Mutant(
        "watermark-over-what-is-open", "mapping/settlement.py",
        "        if not self._sequences:\n            self.value",
        "        if not self._starts:\n            self.value",
        "the checkpoint passes changes that no handler has handled: a crash loses them",
        ("unit/mapping/test_watermark.py", SHARD),
    ),
    Mutant(
        "restored-ranges-are-forgotten", "mapping/settlement.py",
        "ranges + [(max(first, self.value + 1), last) for first, last in self._restored]", "ranges",
        "a second restart repeats what was settled above the watermark before the first",
        ("unit/mapping/test_watermark.py", SCENARIOS),
    ),
    Mutant(
        "letters-of-a-failed-checkpoint", "mapping/settlement.py",
        "self._given_up = self._saving.given_up + self._given_up", "self._given_up = self._given_up",
        "the dead letters of a checkpoint that failed are lost while their changes are passed",
        ("unit/mapping/test_settlement.py",),
    ),
    Mutant(
        "reports-of-a-failed-checkpoint", "mapping/settlement.py",
        "self._reports = self._saving.reports + self._reports", "self._reports = self._reports",
        "the ledger does not add up after a checkpoint that failed",
        ("unit/mapping/test_settlement.py",),
    ),
    Mutant(
        "letters-on-their-way-are-saved", "mapping/settlement.py",
        "return bool(waiting) or (self._saving is not None and bool(self._saving.given_up))",
        "return bool(waiting)",
        "as parked-before-its-letters-are-saved, while the checkpoint is on its way",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "passed-forgets-that-it-was-handled", "mapping/settlement.py",
        "self.watched[record.key] = self._passed[record.key] = record.version",
        "self.watched[record.key] = record.version",
        "a redrive does not see that a later change was handled, and puts an older one over it",
        ("unit/mapping/test_settlement.py", SCENARIOS),
    ),
    Mutant(
        "read-that-goes-back-is-believed", "mapping/shard.py",
        "records = [record for record in records if record.sequence > before]", "records = list(records)",
        "changes that were read are taken twice",
        (SHARD,),
    ),
    Mutant(
        "finished-with-changes-open", "mapping/shard.py",
        "is_settled = self._closed and self._settlement.is_complete", "is_settled = self._closed",
        "the children of a shard begin before its last changes are handled: order is lost",
        (SHARD, SCENARIOS),
    ),
    Mutant(
        "stopped-while-a-park-is-on-its-way", "mapping/shard.py",
        "not (self._flow.in_flight or self._parking.in_flight)", "not self._flow.in_flight",
        "a worker that drains ends before a key is parked, and what that changes is never noted",
        ("unit/mapping/test_parking.py", SCENARIOS),
    ),
    Mutant(
        "gap-is-not-told", "mapping/shard.py",
        "settlement.lost_to_trim(before + 1, max(before + 1, last), until_ms)", "pass",
        "changes that were trimmed unread are lost in silence",
        (SHARD,),
    ),
    Mutant(
        "later-change-of-a-failing-key-is-accepted", "mapping/keys.py",
        "            if record.key in heads:\n",
        "            if record.key in heads and index in failures:\n",
        "a change counts as handled before the earlier one of its key that failed",
        (SHARD, SCENARIOS),
    ),
    Mutant(
        "what-comes-back-overtakes-a-parked-key", "mapping/keys.py",
        "self._pending.add_in_order(self._parking.divert(records))", "self._pending.add_in_order(records)",
        "a change is delivered while the earlier one of its key is parked",
        ("unit/mapping/test_parking.py", SCENARIOS),
    ),
    Mutant(
        "half-of-a-batch-with-a-parked-key", "mapping/keys.py",
        "parked = [record for record in work.records if record.key in self._parking.keys]",
        "parked = [record for record in work.records if record.key in ()]",
        "the other half of a bisected batch delivers a change of a key that is being parked",
        ("unit/mapping/test_parking.py", SCENARIOS),
    ),
    Mutant(
        "key-at-the-sink-is-held", "mapping/keys.py",
        "return not is_at_sink and self._held.hold_key(key)", "return self._held.hold_key(key)",
        "a redrive delivers an older change of a key beside the one that is at the handler",
        (SHARD,),
    ),
    Mutant(
        "key-is-kept-in-a-machine-that-is-to-start", "mapping/shard.py",
        "self._phase != \"new\" and not self.is_finished and self._flow.hold(key)",
        "not self.is_finished and self._flow.hold(key)",
        "the flow in which it was kept is replaced: a later change of the key starts, and the worker "
        "ends when that is answered",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "released-where-it-was-not-kept", "mapping/shard.py",
        "                    self._kept.remove(key)\n                    self._flow.release(key)\n",
        "                    self._kept.remove(key)\n                self._flow.release(key)\n",
        "a machine that did not keep a key lets go of what a batch of its own has: the worker ends "
        "when that is answered",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "parked-key-is-kept-by-nobody", "mapping/keys.py",
        "return not is_at_sink and self._held.hold_key(key)",
        "return not is_at_sink and (key in self._parking.keys or self._held.hold_key(key))",
        "who lets a key go that was parked lets a batch's go: the worker ends when that is answered",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "new-change-before-a-parked-one", "mapping/keys.py",
        "self._pending.add(self._parking.divert(records) if self._parking.keys else records)",
        "self._pending.add(records)",
        "new changes of a parked key are delivered before it",
        (SCENARIOS,),
    ),
    Mutant(
        "second-half-first", "mapping/lane.py",
        "                self._stack.append(Work(work.records[size:], self._numbers.request()))\n"
        "                self._stack.append(Work(work.records[:size], self._numbers.request()))\n",
        "                self._stack.append(Work(work.records[:size], self._numbers.request()))\n"
        "                self._stack.append(Work(work.records[size:], self._numbers.request()))\n",
        "the halves of a bisected batch come in the wrong order",
        (SCENARIOS,),
    ),
    Mutant(
        "rest-begins-behind-the-failed-one", "mapping/lane.py",
        "self._send_rest(work.records[index:], failure, now)",
        "self._send_rest(work.records[index + 1 :], failure, now)",
        "the change that a partial answer named is never sent again",
        (SHARD, SCENARIOS),
    ),
    Mutant(
        "lane-does-not-wait-for-the-redriver", "mapping/lane.py",
        "limit = next(held, limit)", "limit = next(held, limit) or limit",
        "a lane delivers a change of a key that the redriver holds",
        (SHARD,),
    ),
    Mutant(
        "one-attempt-fewer", "mapping/retry.py",
        "if limit != INFINITE and attempts > limit:", "if limit != INFINITE and attempts >= limit:",
        "changes are given up before their last attempt",
        ("unit/mapping/test_retry.py",),
    ),
    Mutant(
        "throttles-use-up-attempts", "mapping/retry.py",
        "return RetryAfter(delay_ms(settings.backoff, max(outages, "
        "1), failure.retry_after_ms), counts=False)",
        "return RetryAfter(delay_ms(settings.backoff, max(outages, 1), failure.retry_after_ms), counts=True)",
        "changes are given up because the sink was out",
        ("unit/mapping/test_retry.py", SCENARIOS),
    ),
    Mutant(
        "old-success-closes-the-breaker", "mapping/pace.py",
        "        if is_probe:\n            self._close()\n\n", "        self._close()\n\n",
        "a batch from before the outage lets everything go on into it",
        ("unit/mapping/test_breaker.py",),
    ),
    Mutant(
        "poison-is-an-outage", "mapping/pace.py",
        "if failure.kind not in OUTAGES:", "if failure.kind not in OUTAGES and is_probe:",
        "ten poison items stop everybody",
        ("unit/mapping/test_breaker.py", SHARD),
    ),
    Mutant(
        "different-failures-are-alike", "mapping/suspension.py",
        "            self.failing.clear()\n            self._fingerprint = digest\n",
        "            self._fingerprint = digest\n",
        "a mapping pauses by itself although its changes fail for different reasons",
        ("unit/mapping/test_suspension.py", SCENARIOS),
    ),
    Mutant(
        "success-does-not-count-against-pausing", "mapping/suspension.py",
        "        self.failing.clear()\n        if self.now is not None:\n",
        "        if self.now is not None:\n",
        "a mapping pauses by itself although its handler accepts changes",
        ("unit/mapping/test_suspension.py", SCENARIOS),
    ),
    Mutant(
        "slow-target-refuses", "mapping/retry.py",
        'settings.order == "shard" and size == 1', 'settings.order == "shard" and size == 0',
        "a record that times out is left out of a whole shard",
        ("unit/mapping/test_retry.py", WHOLE),
    ),
    Mutant(
        "rest-of-a-shard-goes-first", "mapping/contiguous.py",
        "self._again += [self._part(work, size, len(work.records)), self._part(work, 0, size)]",
        "self._again += [self._part(work, 0, size), self._part(work, size, len(work.records))]",
        "the second half of a batch overtakes the first in a whole shard",
        (WHOLE, SCENARIOS),
    ),
    Mutant(
        "what-follows-a-refused-record-is-left-out", "mapping/contiguous.py",
        "self._again.append(self._part(work, end, size))",
        "self._again.append(self._part(work, end + 1, size))",
        "the record behind one that a target refused is never sent again",
        (WHOLE, SCENARIOS),
    ),
    Mutant(
        "archive-leaves-out", "mapping/contiguous.py",
        'if self._settings.on_failure == "discard":', 'if self._settings.on_failure != "park":',
        "an archive leaves a refused record out in place of stopping",
        (WHOLE, SCENARIOS),
    ),
    Mutant(
        "filtered-before-its-turn", "mapping/contiguous.py",
        "records = self._pending if waiting is None else waiting.records", "records = self._pending",
        "what a filter refused is settled before the batch in front of it: a hole",
        (WHOLE, SCENARIOS),
    ),
    Mutant(
        "ranges-of-another-order-stay", "mapping/shard.py",
        'return replace(checkpoint, ranges=()) if self._settings.order == "shard" else checkpoint',
        "return checkpoint",
        "the checkpoint of a whole shard has ranges from before",
        (WHOLE,),
    ),
    Mutant(
        "parked-before-is-overtaken", "mapping/contiguous.py",
        'if allowance == "nothing" or self._at_sink is not None or self._parking.keys:',
        'if allowance == "nothing" or self._at_sink is not None:',
        "a mapping that changes its order overtakes the keys that it had parked",
        (WHOLE,),
    ),
)  # fmt: skip
