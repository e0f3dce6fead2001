"""Mutants of the runtime, of leases and of dead letters.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

DELIVERING: Final = "unit/runtime/test_delivering.py"
WORKER: Final = "unit/worker/test_worker.py"
REDRIVE: Final = "unit/deadletters/test_redriving.py"
SHARED: Final = "contracts/test_shared_shards.py"
REDRIVING: Final = "unit/testing/test_redriving.py"
ONCE: Final = "unit/testing/test_once.py"
KEPT: Final = "unit/runtime/test_evacuation.py"
EVACUATION: Final = "unit/testing/test_evacuation.py"
LINEAGE: Final = "unit/leases/test_lineage.py"
SCRIPTED: Final = "contracts/test_scripted_delivery.py"
TWO: Final = "contracts/test_two_processes.py"
PLACED: Final = "contracts/test_positions_set.py"

DELIVERY: Final = (
    Mutant(
        "checkpoint-without-its-fence", "runtime/delivering.py",
        "row.fields(), self.fence.condition)", "row.fields())",
        "a worker whose lease was taken overwrites the new owner's checkpoint",
        (DELIVERING,),
    ),
    Mutant(
        "beginning-that-nobody-writes-down", "runtime/starting.py",
        "                yield Transact(some, done=\"stamp.done\")\n", "                pass\n",
        "what is trimmed before a new mapping has saved anything is lost in silence",
        (DELIVERING, "unit/testing/test_world_gaps.py", EVACUATION),
    ),
    Mutant(
        "older-ancestor-is-forgotten", "runtime/starting.py",
        "return None if reached is None else reached if reached.watermark < shard.before else whole",
        "return whole",
        "what was trimmed between an older ancestor and a shard is lost in silence",
        (DELIVERING, "unit/testing/test_world_gaps.py"),
    ),
    Mutant(
        "positions-set-that-no-worker-hears-of", "runtime/placing.py",
        "                    Write(placed_key(place.app, place.mapping_id), heard, ALWAYS),\n", "",
        "a finished shard that was set back is read again only after a restart",
        (PLACED,),
    ),
    Mutant(
        "child-that-begins-on-an-old-look", "worker/worker.py",
        "if has_moved or not (table.runs(handler)",
        "if not (table.runs(handler)",
        "what is repeated of a shard comes before what is repeated of the one that it continues",
        (PLACED,),
    ),
    Mutant(
        "position-without-its-epoch", "runtime/placing.py",
        "Equals(\"epoch\", lease.epoch)", "ALWAYS",
        "a position is set beside a worker that has taken the lease since, and undoes what that has saved",
        ("unit/runtime/test_placing.py",),
    ),
    Mutant(
        "lineage-of-everybody", "leases/lineage.py",
        "return not shard_id or stream != shard.stream or shard_id in (shard.shard_id, *self.ancestors)",
        "return True",
        "every shard keeps the parked keys of all shards",
        (LINEAGE, SCRIPTED),
    ),
    Mutant(
        "ancestors-that-nobody-names", "runtime/starting.py",
        "NamedAncestors(shard.parents, named_ancestors(line, known, parked_in))",
        "NamedAncestors(shard.parents)",
        "a later change of a parked key overtakes it in the shard's child",
        (SCRIPTED,),
    ),
    Mutant(
        "lost-lineage-is-taken-for-whole", "leases/lineage.py",
        "            is_lost = True\n", "            is_lost = False\n",
        "a later change overtakes a parked key after the shards between them have come and gone",
        (LINEAGE, SCRIPTED),
    ),
    Mutant(
        "gap-that-no-source-knows", "runtime/delivering.py",
        "return ReadDone([], self.shard.first - 1, trimmed=True)",
        "return ReadDone([], self.shard.first - 1)",
        "what came and went while no worker read is lost in silence where the source has forgotten it",
        (SCRIPTED,),
    ),
    Mutant(
        "lost-lineage-does-not-wait", "leases/lineage.py",
        "    if not line.is_lost:\n        return parents\n",
        "    if shard.parents:\n        return parents\n",
        "what was saved from the trim is overtaken by a shard whose parents are gone",
        (LINEAGE, EVACUATION),
    ),
    Mutant(
        "claims-of-one-request-are-one", "deadletters/core/redriving.py",
        'return f"{self.request}/{self.owner}"', "return self.request",
        "two workers that carry out one request deliver the same parked change side by side",
        (TWO,),
    ),
    Mutant(
        "claims-that-never-run-out", "deadletters/core/head.py",
        "return not seen.has_expired(monotonic_ms, CLAIM_MS)", "return True",
        "the key that a redriver died with stays parked for ever",
        ("unit/deadletters/test_head.py", TWO),
    ),
    Mutant(
        "requests-are-forgotten-while-others-are-at-them", "deadletters/run/putting_back.py",
        'is_left = is_left or ended.how == "busy"', "is_left = False",
        "what a worker that dies has claimed of a redrive is never put back",
        (TWO,),
    ),
    Mutant(
        "discarded-changes-beside-their-owner", "worker/following.py",
        "return {(mapping_id, *place) for place in places}", "return set()",
        "a worker without the shard puts an older change back while a later one of its item is at "
        "the handler elsewhere",
        (TWO, SHARED),
    ),
    Mutant(
        "discarded-changes-beside-those-of-other-shards", "leases/lineage.py",
        "            return {open_now[shard_id].place}\n",
        "            return {shard.place for shard in open_now.values()}\n",
        "where two workers share the shards of a mapping neither puts its discarded changes back",
        (SHARED,),
    ),
    Mutant(
        "item-is-read-where-an-old-listing-says", "worker/following.py",
        "        self.fresh.discard(begun[0])\n", "",
        "a discarded change is put back while a later one of its item is at the handler in a shard "
        "that is not listed yet",
        ("unit/worker/test_following.py",),
    ),
    Mutant(
        "item-is-read-only-where-it-is-listed", "worker/following.py",
        "finished, shard_id, partition) | vanished", "finished, shard_id, partition)",
        "a discarded change is put back beside a later one in a shard that is still read and listed no more",
        ("unit/worker/test_following.py",),
    ),
    Mutant(
        "discarded-change-without-its-fence", "deadletters/core/redriving.py",
        "if not (yield WriteRows((*fences[:SLICE], claim))):", "if not (yield WriteRows((claim,))):",
        "who lost a shard and does not know puts an older change back beside a later one at the new owner",
        (REDRIVE, SHARED),
    ),
    Mutant(
        "letters-that-failed-again-are-tried-for-ever", "deadletters/core/redriving.py",
        "deadletter_fields(msgspec.structs.replace(letter, tried=request))", "deadletter_fields(letter)",
        "two workers that share shards call a handler that fails every second, and no request is ever done",
        (SHARED,),
    ),
    Mutant(
        "shard-finishes-while-its-key-is-kept", "mapping/shard.py",
        "return is_settled and not self._owes_final and not self._kept",
        "return is_settled and not self._owes_final",
        "a later change in the next shard is delivered beside an older one that is put back",
        (SHARED, "simulation/test_simulation.py"),
    ),
    Mutant(
        "key-is-kept-in-a-shard-that-has-finished", "mapping/shard.py",
        "!= \"new\" and not self.is_finished and self._flow.hold(key)", "!= \"new\" and self._flow.hold(key)",
        "a shard that was finished is not any more, and what continues it has begun",
        ("unit/mapping/test_parking.py",),
    ),
    Mutant(
        "change-behind-a-claim-before-what-is-claimed", "deadletters/run/planning.py",
        "            return  # what waits behind a discarded change that is put back goes with it\n",
        "            pass\n",
        "after a crash a later change is put back before the older one of its item",
        (SHARED,),
    ),
    Mutant(
        "later-discarded-change-after-what-was-parked-behind-the-first", "deadletters/core/redriving.py",
        "following = yield from _next_of(letter, later)", "pass",
        "after a crash a discarded change is overtaken by what came while the one before it was put back",
        (SHARED,),
    ),
    Mutant(
        "next-discarded-change-is-forgotten-in-a-crash", "deadletters/core/redriving.py",
        "first = taken.first if following is None else following.record.version", "first = taken.first",
        "after a second crash what was parked is put back before a discarded change that came first",
        (REDRIVE,),
    ),
    Mutant(
        "behind-a-change-that-failed-for-the-request", "deadletters/run/planning.py",
        "failed.add(key)  # what comes after it would be applied before it", "pass",
        "a worker that goes on with a redrive puts a change back before an older one that had failed again",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "overtaken-in-no-row", "deadletters/core/redriving.py",
        "(_left(row, there, by.request), beside)", "(_left(row, there, by.request),)",
        "a change that was overtaken keeps the later ones of its item from being put back",
        ("unit/deadletters/test_redriver.py", REDRIVE),
    ),
    Mutant(
        "stopped-redrive-forgets-the-claims-of-others", "deadletters/run/putting_back.py",
        "is_left = yield from self._is_claimed_elsewhere(request)", "is_left = False",
        "no worker goes on with what one had claimed that died after another one had stopped",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "claims-of-all-handlers-in-one", "deadletters/core/head.py",
        "place = head.mapping_id, head.key", "place = \"\", head.key",
        "two dead claims of one key in two handlers hold each other up for ever",
        ("unit/deadletters/test_head.py",),
    ),
    Mutant(
        "claim-that-runs-out-while-the-rate-is-kept", "deadletters/run/putting_back.py",
        "        failure = first_failure(\n            (yield Concurrently(",
        "        yield from self._keep_the_rate(course.request, interval)\n        failure = "
        "first_failure(\n            (yield Concurrently(",
        "two workers that redrive slowly take each other's keys, and changes come twice "
        "and beside each other",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "rate-of-all-redrives-in-one", "deadletters/run/putting_back.py",
        "self._next_ms.get(request.id, 0.0)", "max(self._next_ms.values(), default=0.0)",
        "a redrive of one change an hour holds up every other one",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "claim-of-a-forgotten-request", "deadletters/run/putting_back.py",
        "        holding.fences += (asked,)", "        asked",
        "a claim that no worker would go on with holds an item up",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "rate-is-kept-for-the-first-change-of-an-item", "deadletters/run/putting_back.py",
        "                    holding.has_waited = False\n", "                    holding.has_waited = True\n",
        "what was parked behind a change that is put back comes to a handler faster than it was asked for",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "pause-is-read-once", "runtime/pausing.py",
        "        if before == now:\n", "        if before == now or self._seen:\n",
        "a second pause, or the end of one, never reaches a worker of another process",
        (TWO,),
    ),
    Mutant(
        "lost-stream-in-silence", "runtime/starting.py",
        "        if label not in labels:\n", "        if not label:\n",
        "what a whole stream took along unread is told nowhere",
        (SCRIPTED,),
    ),
    Mutant(
        "what-is-gone-concerns-no-shard", "runtime/starting.py",
        "vanished = (known.vanished or ()) if line.is_lost else ()", "vanished = ()",
        "a shard whose line is lost begins behind what was trimmed, in silence",
        ("unit/runtime/test_starting.py",),
    ),
    Mutant(
        "mappings-of-a-shard-take-its-lease-at-once", "worker/side_by_side.py",
        "places.setdefault(new.shard.place, [])",
        "places.setdefault((new.handler.id, new.shard.shard_id), [])",
        "one of two handlers of a shard does not begin, because the other is taking the lease",
        ("unit/worker/test_side_by_side.py",),
    ),
    Mutant(
        "old-answer-after-a-new-one", "runtime/pausing.py",
        "if asked > self._learned.get(mapping_id, 0):", "if asked:",
        "a mapping that was let go on stays paused until the next look",
        ("unit/runtime/test_pausing.py",),
    ),
    Mutant(
        "park-without-its-fence", "runtime/delivering.py",
        "Transact((fence, *writes)", "Transact((*writes,)",
        "a worker whose lease was taken parks keys that the new owner does not know of",
        ("unit/runtime/test_delivering.py",),
    ),
    Mutant(
        "unparked-meanwhile-is-parked-anew", "runtime/delivering.py",
        "if head is None and letters[0].is_waiting:", "if head is None and not letters:",
        "a change waits for ever behind a key that was put back already",
        ("unit/runtime/test_delivering.py",),
    ),
    Mutant(
        "lost-lease-is-a-saved-checkpoint", "runtime/delivering.py",
        "            return (LeaseLostInput(),)", "            return (CheckpointDone(),)",
        "two workers deliver the changes of one shard",
        ("unit/runtime/test_driver.py", WORKER),
    ),
    Mutant(
        "freed-key-stays-parked", "runtime/delivering.py",
        "(ParkDone(command.id, is_free),)", "(ParkDone(command.id, False),)",
        "the later changes of a key that was put back are taken for parked and never delivered",
        ("unit/runtime/test_driver.py", REDRIVING),
    ),
    Mutant(
        "children-before-their-parent", "worker/following.py",
        "if self.finished.issuperset(self.before(handler, shard, known)):",
        "if True:",
        "changes of a key after a split are delivered before those from before it",
        (WORKER,),
    ),
    Mutant(
        "discarded-change-delivered-beside-its-key", "deadletters/core/redriving.py",
        "    if fences is None:\n        return Ended(\"busy\")\n", "    fences = fences or ()\n",
        "an older change is put back while a later one of its item is at the handler",
        (REDRIVE, REDRIVING),
    ),
    Mutant(
        "overtaken-change-is-put-back", "deadletters/core/redriving.py",
        'if judge(letter, last_passed, even_if_overtaken=even_if_overtaken) == "overtaken":',
        "if last_passed < last_passed:",
        "an older change is put over a later one",
        ("unit/deadletters/test_redriver.py", REDRIVING),
    ),
    Mutant(
        "parked-change-overtakes-nothing", "deadletters/core/redriving.py",
        "return () if passed is None or passed >= version else",
        "return () if passed is None or passed < version else",
        "an older discarded change is put over a later one that was parked and put back",
        ("unit/deadletters/test_redriver.py",),
    ),
    Mutant(
        "not-wanted-change-is-dropped", "deadletters/core/redriving.py",
        "if letter is None or not wants(letter):", "if letter is None:",
        "`dlq drop` of one failure drops everything that waits behind it",
        (REDRIVE, REDRIVING),
    ),
    Mutant(
        "change-behind-one-that-failed-again", "deadletters/run/putting_back.py",
        "if key in failed and not request.even_if_overtaken:",
        "if key in failed and request.even_if_overtaken:",
        "a redrive applies a change before the earlier one of its item, which failed again",
        (REDRIVING,),
    ),
    Mutant(
        "what-the-machine-handled-is-not-seen", "deadletters/run/putting_back.py",
        "return max(last, held[key].passed) if key in held else last", "return last",
        "a redrive puts a change over a later one whose checkpoint is not saved yet",
        ("unit/deadletters/test_redriver.py", REDRIVING),
    ),
    Mutant(
        "parked-twice-counts-twice", "deadletters/core/head.py",
        "fresh = [letter for letter in letters if before is None or letter.record.version > before.tail]",
        "fresh = [letter for letter in letters if before is None or letter.record.version >= before.tail]",
        "a crash between parking and checkpoint counts a change twice: the key is never free",
        ("unit/deadletters/test_head.py",),
    ),
    Mutant(
        "unparked-whatever-was-appended", "deadletters/core/head.py",
        "return None, [Write(head.row_key, None, _unchanged(head)), entry]",
        "return None, [Write(head.row_key, None), entry]",
        "a change that was parked while the last one was put back is never delivered",
        ("unit/deadletters/test_head.py",),
    ),
    Mutant(
        "epoch-does-not-rise", "leases/lease.py",
        'Lease(key, owner, seen["counter"] + 1, seen["epoch"] + 1, tuple',
        'Lease(key, owner, seen["counter"] + 1, seen["epoch"], tuple',
        "the fence of the old owner still holds: two workers save",
        ("unit/leases/test_lease.py",),
    ),
    Mutant(
        "lease-taken-as-it-was-not-seen", "leases/lease.py",
        'Equals("counter", seen["counter"])', 'Equals("epoch", seen["epoch"])',
        "of two workers that take a lease at once both believe to have it",
        ("unit/leases/test_lease.py",),
    ),
    Mutant(
        "mark-of-a-parked-change-is-forgotten", "worker/forgetting.py",
        ' and not _is_held(row.key.rsplit("/", 1)[1], held_keys)', "",
        "a redrive after two days applies a transaction again",
        (ONCE,),
    ),
    Mutant(
        "recorded-writes-without-their-mark", "runtime/effects.py",
        "await self._state.transact([mark, *writes])", "await self._state.transact([*writes])",
        "a repeated change applies its transaction twice",
        (ONCE,),
    ),
    Mutant(
        "transactions-after-one-that-failed", "runtime/effects.py",
        "                return {index: failure}\n        return {}",
        "                continue\n        return {}",
        "a failed transaction counts as applied, and later ones of the item are applied without it",
        (ONCE,),
    ),
    Mutant(
        "saved-from-the-trim-through-too-far", "runtime/evacuation.py",
        "through=old[-1].sequence if old and not is_end else max(after, page.next_after)",
        "through=max(after, page.next_after)",
        "changes of a page that are not old enough to be copied are taken for copied and never read",
        (KEPT, EVACUATION),
    ),
    Mutant(
        "saved-behind-what-was-not-known-when-the-source-was-asked", "runtime/evacuation.py",
        "saved or _nothing(unfinished, after),", "kept.evacuation or _nothing(unfinished, after),",
        "what another worker saves while the source is asked is told as a gap",
        (KEPT,),
    ),
    Mutant(
        "young-changes-never-asked-about-again", "runtime/evacuation.py",
        "known_after <= after and created_ms >= horizon_ms", "known_after <= after and created_ms >= 0",
        "a shard whose next change was once too young to be saved is never asked again",
        (KEPT,),
    ),
    Mutant(
        "last-change-that-was-saved-is-skipped", "runtime/kept.py",
        "position < saved.through or saved.closed)", "position < saved.through - 1 or saved.closed)",
        "the last change that was saved from the trim is read from the stream, which has forgotten it",
        (KEPT, EVACUATION),
    ),
    Mutant(
        "saved-changes-forgotten-before-they-are-handled", "runtime/evacuation.py",
        "last = saved.key_after(watermark)", "last = saved.key_after(saved.through)",
        "what was saved from the trim is removed before its mapping has handled it",
        (KEPT, EVACUATION),
    ),
)  # fmt: skip
