"""The rules of Prometheus that `tailrace generate alerts` writes, over the metrics of `telemetry`.

Rules of this file: data. Written by rules.py, with the bounds of people.
Stands alone because it is what is changed when a rule is, and nothing else.
"""

from typing import Final, NamedTuple


class AlertRule(NamedTuple):
    """One rule of Prometheus. Shape: in `expression` and `lasts` stand names of bounds, as `{bounds.late}`;
    `lasts` "" where the expression is true at once; `next` is the command that looks closer.
    """

    name: str
    expression: str
    lasts: str
    severity: str
    summary: str
    next: str


OF_HANDLER: Final = "{{ $labels.handler }}"
ALERT_RULES: Final = (
    AlertRule(
        "TailraceLate",
        "max by (table, handler) (tailrace_lag_seconds) > {bounds.late}",
        "",
        "ticket",
        f"{OF_HANDLER} is late: its oldest change waits for {{{{ $value | humanizeDuration }}}}",
        "tailrace status",
    ),
    AlertRule(
        "TailraceTrimNear",
        "min by (table, handler) (tailrace_retention_left_seconds) < {bounds.left}",
        "",
        "page",
        f"{OF_HANDLER} loses changes to the trim in {{{{ $value | humanizeDuration }}}}",
        "tailrace status",
    ),
    AlertRule(
        "TailraceStuck",
        "max by (table, handler) (tailrace_lag_seconds > {bounds.stuck} "
        "and (time() - tailrace_last_progress_timestamp_seconds) > {bounds.stuck})",
        "",
        "page",
        f"{OF_HANDLER} is stuck: changes wait, and nothing moves",
        "tailrace status",
    ),
    AlertRule(
        "TailraceGap",
        "max by (handler) (tailrace_open_gaps) > 0",
        "",
        "page",
        f"{OF_HANDLER} has lost changes: they were trimmed before they were handled",
        "tailrace gaps",
    ),
    AlertRule(
        "TailraceEvacuating",
        "max by (handler) (tailrace_evacuating_shards) > 0",
        "",
        "page",
        f"{OF_HANDLER} is about to lose changes to the trim: they are kept until it takes them",
        "tailrace status",
    ),
    AlertRule(
        "TailraceDeadLettersGrew",
        "max by (handler) (delta(tailrace_dead_letters[{bounds.quiet}s])) > 0",
        "",
        "ticket",
        f"{OF_HANDLER} has more dead letters",
        "tailrace dlq ls",
    ),
    AlertRule(
        "TailraceTwoOwners",
        "max by (handler) (tailrace_contested_shards) > 0",
        "",
        "page",
        f"{OF_HANDLER} is run by two workers at once",
        "tailrace status",
    ),
    AlertRule(
        "TailraceUnbalanced",
        "max by (handler) (tailrace_unbalanced_changes) > 0",
        "",
        "page",
        f"changes that {OF_HANDLER} has read and what came of them do not add up",
        "tailrace status",
    ),
    AlertRule(
        "TailraceSnapshotStuck",
        "max by (handler) (tailrace_snapshot_still_seconds) > {bounds.stuck}",
        "",
        "ticket",
        f"the snapshot of {OF_HANDLER} has not moved for {{{{ $value | humanizeDuration }}}}",
        "tailrace snapshot status",
    ),
    AlertRule(
        "TailraceSnapshotFailed",
        'max by (handler) (tailrace_snapshot_state{{state="failed"}}) > 0',
        "",
        "ticket",
        f"the snapshot of {OF_HANDLER} has failed: rows of items that are gone were not deleted",
        "tailrace snapshot status",
    ),
    AlertRule(
        "TailraceStateUnreachable",
        'max(tailrace_unreachable_seconds{{what="state"}}) > {bounds.away}',
        "",
        "page",
        "a worker cannot reach the state: it saves nothing, and loses its shards",
        "tailrace state check",
    ),
    AlertRule(
        "TailraceCheckpointsFail",
        "sum by (handler) (increase(tailrace_checkpoint_failures_total[{bounds.quiet}s])) > 0",
        "{bounds.quiet}s",
        "ticket",
        f"checkpoints of {OF_HANDLER} go on failing: what it handles may be handled again",
        "tailrace status",
    ),
    AlertRule(
        "TailraceErrors",
        "sum by (handler) (rate(tailrace_errors_total[{bounds.quiet}s])) "
        "/ sum by (handler) (rate(tailrace_invocations_total[{bounds.quiet}s])) > {bounds.errors}",
        "",
        "ticket",
        f"{OF_HANDLER} fails in {{{{ $value | humanizePercentage }}}} of its calls",
        "tailrace status",
    ),
    AlertRule(
        "TailraceParkedOld",
        "max by (handler) (tailrace_parked_oldest_seconds) > {bounds.parked}",
        "",
        "ticket",
        f"a parked item of {OF_HANDLER} waits for {{{{ $value | humanizeDuration }}}}",
        "tailrace dlq ls",
    ),
    AlertRule(
        "TailraceCost",
        "sum(rate(tailrace_source_cost_usd_total[1h])) * 2628000 > {bounds.budget}",
        "",
        "ticket",
        "reads of streams come to {{ $value }} USD a month at this rate",
        "tailrace top",
    ),
    AlertRule(
        "TailraceAbsent",
        "absent(tailrace_build_info)",
        "{bounds.absent}s",
        "page",
        "nothing of tailrace answers: no worker runs, or none can be scraped",
        "tailrace status",
    ),
)
"""What `tailrace generate alerts` writes: what `app.alerts` tells, what a worker tells only as numbers, and
the silence of who would tell it. A month has 2,628,000 seconds.
"""
