"""A row of every kind, made by the module that lays such rows out, for a mapping, its app and the directory.

Rules of this file: one entry a kind of the registry; `test_every_kind` fails for a kind that has none, and
for one that the registry lacks.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tailrace.alerts.core.row import AlertRow, alert_fields, alert_key
from tailrace.api.lambdas.functions import Configured
from tailrace.api.lambdas.mappings import EventSourceMapping
from tailrace.deadletters.core.entry import (
    DeadLetter,
    deadletter_fields,
    deadletter_key,
    parked_key,
)
from tailrace.deadletters.core.evacuated import Evacuation, copied
from tailrace.deadletters.core.gap import Gap
from tailrace.deadletters.core.head import parked
from tailrace.deadletters.core.lost_window import LostWindow, lost_window_key
from tailrace.deadletters.core.notice import Notice, outbox_key
from tailrace.deadletters.core.passed import passed_write
from tailrace.deadletters.core.requests import RedriveRequest
from tailrace.leases.checkpoint import CheckpointRow, Ledger, checkpoint_key, ledger_key, mark_key, mark_write
from tailrace.leases.duty import HeldDuty, taken_duty
from tailrace.leases.generation import Generations
from tailrace.leases.hand_over import hand_over
from tailrace.leases.lease import lease_key, take
from tailrace.leases.member import Heartbeat, Identity
from tailrace.leases.seen import seen_write
from tailrace.mapping.chain import link_of
from tailrace.mapping.chained_item import ChainRow
from tailrace.projections.core.builds import Build, build_fields, build_key, served_fields, served_key
from tailrace.projections.core.known import KnownBuilds, known_fields, known_key
from tailrace.projections.core.rows import (
    AppliedItem,
    GroupState,
    group_fields,
    group_key,
    item_fields,
)
from tailrace.projections.core.rows import item_key as projection_item_key
from tailrace.replays.core.runs import ReplayRun, begun
from tailrace.rows.kinds import (
    ALIVE,
    AUDIT,
    CLOCK,
    DUTY,
    LAYOUT,
    LEDGER,
    MAPPING,
    PAUSE,
    PAUSE_SEEN,
    REDRIVE,
    RESUMED,
    START,
    UNREAD_DUTY,
)  # fmt: skip
from tailrace.rows.writes import Write
from tailrace.runtime.chain_rows import chain_write
from tailrace.runtime.pausing import resumed_row
from tailrace.runtime.placing import placed_fields, placed_key
from tailrace.runtime.recursion import ancestor_name, generations_key, pause_row
from tailrace.server.pulse import alive_fields
from tailrace.snapshots.core.snapshot import Snapshot, WantedSnapshot, saved
from tailrace.snapshots.run.beginning import MirrorBegan
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import HASHES, Shard
from tailrace.windows.core.rows import (
    Contribution,
    WindowInvocation,
    WindowOwner,
    contribution_fields,
    day_key,
    item_key,
    member_key,
    told_fields,
    told_key,
    touched_key,
)

Made: TypeAlias = tuple[str, Mapping[str, Any] | None]
LABEL: Final = "2026-11-01T00:00:00.000"
SHARD: Final = "shardId-00000000000000000001"
RECORD: Final = ChangeRecord(
    sequence=42,
    shard=1,
    event_name="INSERT",
    created_us=1_000_000,
    size_bytes=9,
    partition=7,
    key=b"o1",
    keys=b'{"id":{"S":"o1"}}',
    new=b'{"id":{"S":"o1"}}',
)


def letter(mapping: str, condition: str = "RetryAttemptsExhausted") -> DeadLetter:
    return DeadLetter(
        record=RECORD,
        event_id="e1",
        shard_id=SHARD,
        handler=mapping,
        condition=condition,
        attempts=3,
        trace=f"{mapping}/e1",
        table="orders",
    )


def written(write: Write) -> Made:
    return write.key, write.fields


def _lost(app: str, mapping: str) -> Made:
    window = LostWindow(
        shard_id=SHARD,
        handler=mapping,
        start_ms=0,
        end_ms=60_000,
        state="{}",
        is_early=False,
        condition="RetryAttemptsExhausted",
        attempts=2,
        error="",
        traceback="",
        first_failure_ms=1,
        last_failure_ms=2,
        code_version="",
    )
    return lost_window_key(app, window), window.fields()


def _notice(app: str, mapping: str) -> Made:
    notice = Notice(mapping, SHARD, (RECORD.version,), "RetryAttemptsExhausted", 3, 1, 5)
    return outbox_key(app, notice), notice.fields()


def _evacuation(app: str, mapping: str) -> list[Write]:
    before = Evacuation(
        app,
        mapping,
        "orders",
        ("arn:s", LABEL, "NEW_IMAGE", "us-east-1"),
        Shard(SHARD, 1, hash_range=(0, HASHES - 1), before=0),
    )
    return copied(before, 0, [RECORD], through=42, closed=False, shard=before.shard, trimmed=False)[1]


def _member(app: str, mapping: str) -> Made:
    row = Contribution("6f31", RECORD.version, '{"S":"NL"}', 5, {"id": {"S": "o1"}})
    return member_key(WindowOwner(app, mapping), row.group, 0, row.key), contribution_fields(row)


def _build(app: str, mapping: str) -> Made:
    build = Build("sales", "1", "state")
    return build_key(app, "sales", "1"), build_fields(build)


def _esm(app: str, mapping: str) -> Made:
    row = EventSourceMapping("u-1", "fn", "arn", "orders", "LATEST", True, {}, 1)
    return row.key, row.fields()


MADE: Final[dict[str, Callable[[str, str], Made]]] = {
    "chain": lambda app, mapping: written(
        chain_write((app, mapping, LABEL), b"o1", ChainRow(7, (link_of(RECORD),), (), (RECORD,)))
    ),
    "checkpoint": lambda app, mapping: (
        checkpoint_key(app, mapping, LABEL, SHARD), CheckpointRow(1, 0, 42).fields()
    ),
    "ledger": lambda app, mapping: (
        ledger_key(app, mapping, LABEL, SHARD), {"v": LEDGER.format, **Ledger({"handled": 2}).fields()}
    ),
    "mark": lambda app, mapping: written(
        mark_write(mark_key(ancestor_name(app, mapping), "live", "orders", b"o1"), RECORD.version, 5)
    ),
    "head": lambda app, mapping: written(parked(app, mapping, None, [letter(mapping)], 5)[0]),
    "parked": lambda app, mapping: (
        parked_key(app, mapping, b"o1", RECORD.version), deadletter_fields(letter(mapping, "KeyParked"))
    ),
    "deadletter": lambda app, mapping: (deadletter_key(app, mapping, RECORD.version),
        deadletter_fields(letter(mapping))),
    "passed": lambda app, mapping: written(passed_write(app, mapping, b"o1", RECORD.version)),
    "lost-window": _lost,
    "outbox": _notice,
    "evacuated": lambda app, mapping: written(_evacuation(app, mapping)[1]),
    "evacuation": lambda app, mapping: written(_evacuation(app, mapping)[0]),
    "gap": lambda app, mapping: (Gap(SHARD, 1, 42, 5, 9).key(app, mapping), Gap(SHARD, 1, 42, 5, 9).fields()),
    "redrive": lambda app, mapping: (REDRIVE.key(app, f"5-{len(mapping)}"),
        RedriveRequest(f"5-{len(mapping)}", mapping).fields()),
    "replay": lambda app, mapping: written(begun(app, ReplayRun("replay-1", mapping, "5f", 5, 9, 5))),
    "alert": lambda app, mapping: (
        alert_key(app, mapping, "gap"), alert_fields(AlertRow("gap", mapping, "orders", began_ms=5))
    ),
    "window-item": lambda app, mapping: (
        item_key(WindowOwner(app, mapping), "6f31"), contribution_fields(Contribution("6f31", RECORD.version))
    ),
    "window-member": _member,
    "window-touched": lambda app, mapping: (
        touched_key(WindowOwner(app, mapping), '{"S":"NL"}', 0),
        {"v": 1, "pane": 0, "group": '{"S":"NL"}', "stamp": RECORD.version.text}
    ),
    "window-told": lambda app, mapping: (
        told_key(WindowOwner(app, mapping), '{"S":"NL"}', 0), told_fields(WindowInvocation(0, 60_000, 1, "d"))
    ),
    "window-day": lambda app, mapping: (
        day_key(WindowOwner(app, mapping), 0, "item", "6f31"), {"v": 1, "key": "6f31"}
    ),
    "window-duty": lambda app, mapping: written(
        taken_duty(HeldDuty(WindowOwner(app, mapping).key("duty")), "pid-1")[1]
    ),
    "unread-duty": lambda app, mapping: written(
        taken_duty(HeldDuty(UNREAD_DUTY.key(app, mapping)), "pid-1")[1]
    ),
    "duty": lambda app, mapping: written(taken_duty(HeldDuty(DUTY.key(app, "courier")), "pid-1")[1]),
    "pause-seen": lambda app, mapping: (
        PAUSE_SEEN.key(app, mapping, "pid-1"),
        {"v": 1, "owner": "pid-1", "since_ms": 5, "at_ms": 6},
    ),
    "resumed": lambda app, mapping: (RESUMED.key(app, mapping), resumed_row(mapping, [(LABEL, SHARD, 5)])),
    "pause": lambda app, mapping: (PAUSE.key(app, mapping), pause_row(mapping, 5)),
    "start": lambda app, mapping: (START.key(app, mapping), {"v": 1, "id": mapping, "since_ms": 5}),
    "generations": lambda app, mapping: (generations_key(app, mapping),
        {"v": 1, "id": mapping, "allowed": 20}),
    "placed": lambda app, mapping: (placed_key(app, mapping), placed_fields(mapping, "set-5/0", 5)),
    "mapping": lambda app, mapping: (MAPPING.key(app, mapping), {"v": 1, "id": mapping, "table": "orders"}),
    "alive": lambda app, mapping: (ALIVE.key(app), alive_fields("pid-1", 5, 1)),
    "sources": lambda app, mapping: written(Generations(app, "orders").with_labels([LABEL]).write()),
    "sources-seen": lambda app, mapping: written(seen_write(Generations(app, "orders"), "pid-1")),
    "snapshot-wanted": lambda app, mapping: written(WantedSnapshot(app, mapping, 1).write()),
    "snapshot": lambda app, mapping: written(saved(None, Snapshot(app, mapping, 1))[1]),
    "mirror-began": lambda app, mapping: written(MirrorBegan(LABEL, was_empty=True).write(app, mapping)),
    "lease": lambda app, mapping: written(take(lease_key(app, LABEL, SHARD), None, "pid-1")[1]),
    "hand-over": lambda app, mapping: written(hand_over(app, LABEL, SHARD, "pid-2", "pid-1").write()),
    "member": lambda app, mapping: written(Heartbeat(app, Identity("pid-1")).attempt()),
    "projection": lambda app, mapping: (served_key(app, "sales"), served_fields("sales", "orders", "1")),
    "projection-builds": lambda app, mapping: (
        known_key(app, "sales"), known_fields(KnownBuilds(app, "sales", revision=3))
    ),
    "projection-build": _build,
    "projection-item": lambda app, mapping: (
        projection_item_key(app, "sales@v1", "6f31"), item_fields(AppliedItem("6f31", RECORD.version))
    ),
    "projection-group": lambda app, mapping: (
        group_key(app, "sales@v1", '{"S":"NL"}'), group_fields(GroupState('{"S":"NL"}', 1, 1, {"N": "1"}))
    ),
    "layout": lambda app, mapping: (LAYOUT.key(), {"v": 1}),
    "audit": lambda app, mapping: (
        AUDIT.key("000000000001"),
        {"v": 2, "number": 1, "at_ms": 5, "verb": "pause", "arguments": {}, "by": "", "outcome": "ok",
         "reason": ""}
    ),
    "clock": lambda app, mapping: (CLOCK.key(), {"v": 1, "wall_ms": 5}),
    "esm": _esm,
    "function": lambda app, mapping: (Configured("fn").key, Configured("fn").fields()),
}  # fmt: skip
