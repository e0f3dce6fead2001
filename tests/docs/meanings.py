"""What each setting means, in words for users: the one thing about a setting that its code does not say.

Rules of this file: text only; every setting has one, checked by `test_reference`. Units are in the names.
"""

from typing import Final

NAMES: Final = {
    "Epoch": "A datetime kept as a number of whole seconds since 1970, as a table's TTL attribute needs it.",
    "__version__": "The version of the package.",
}
"""Public names that have no docstring of their own."""
MAPPING: Final = {
    "id": "The mapping's stable name; the handler's qualified name by default. Checkpoints "
    "are kept under it.",
    "order": "`key`: a failing item leaves the flow and every other one goes on. `lane`: Lambda's order, a "
    "failing batch blocks its lane. `shard`: everything of a shard in sequence, one call at a time, "
    "and a checkpoint without ranges; no handler or sink asks for it yet.",
    "batch_size": "How many records one call gets at most (1 to 10,000).",
    "batching_window_ms": "How long a batch may wait to be filled; 0 calls at once.",
    "parallelization_factor": "Lanes of a shard, by partition key (1 to 10).",
    "maximum_retry_attempts": "Attempts after the first one; -1 is without end.",
    "maximum_record_age_ms": "Older records are given up before they are tried again; -1 is without end.",
    "bisect_batch_on_function_error": "A failing batch becomes two halves, at no cost of attempts.",
    "report_batch_item_failures": "The handler may answer which records failed, as on Lambda.",
    "batch_bytes": "How large one call's records may be.",
    "concurrency": "How many calls of a shard run beside each other, of different items.",
    "keys_at_once": "How many items of one call the sink works on at the same time; a sink says so itself. "
    "A call takes no fewer to leave some to other calls.",
    "on_failure": "After the last attempt: `park` (the item waits), `block` (the shard waits), `discard` "
    "(a dead letter is kept), `drop`. With `order='shard'` it is `discard` (only the refused change "
    "is left out) or `block` (nothing is).",
    "max_keys": "How many failing items may stand aside at once, and how many be parked; at the "
    "bound the shard waits.",
    "max_per_key": "How many later changes of one failing item may wait behind it; at the bound "
    "the shard waits.",
    "buffer_records": "How many records are held in memory for a shard.",
    "buffer_bytes": "What those records may weigh; one page more may be read.",
    "checkpoint_interval_ms": "How long a checkpoint may be put off; 0 saves as soon as one can be saved.",
    "backoff": "How long to wait between attempts: `base_ms` times `factor` for each, up to `cap_ms`.",
    "breaker": "How a sink that throttles or is not there is probed: the mapping waits, and attempts are "
    "not used up. A code error is never an outage.",
    "accepts": "The filter; what it refuses is settled as filtered.",
    "filters": "event patterns (`FilterCriteria` as `read_filter_criteria` reads them): a record passes "
    "when one matches, or when there are none",
    "max_ranges": "How many settled ranges one checkpoint keeps above its watermark; at the "
    "bound reading waits.",
    "tumbling_window_ms": "Length of a function's tumbling windows (1 to 900 seconds); 0: none.",
    "tumbling_idle_ms": "How long after its end, and after the last answer of the source, the window of a "
    "shard without news is closed.",
    "starts_at_end": '`StartingPosition="LATEST"` of a function: a new mapping begins behind '
    "what the stream holds.",
    "is_transactional": "The target has the position of each shard beside its rows, and changes both at "
    "once; a sink says so itself (docs/sinks.md).",
    "ordered_by": 'What `order="key"` keeps in order, parks and puts back: the changes of an `item`, or all '
    "of one `partition` key (`app.on` and `app.batch` only).",
    "max_generations": "How many changes of its own, one caused by the other, a handler is called for "
    "before it is paused as a loop.",
    "disorder_ms": "By how much the source may deliver changes of an item late and again; they are put in "
    'order. `0`: it keeps the order, as streams of tables do. Only with `order="key"`.',
    "waits_always": "Each change waits for that bound. Otherwise only one whose old image is not the last "
    "new one does, and an item that comes back to an image it had may hide that something is missing.",
    "max_waiting": "How many changes may wait for one before them; above that the first waits no more, and "
    "a gap of its item is told.",
}
ENGINE: Final = {
    "region": "The region of the default namespace: tables of it are named by name alone. A data directory "
    "keeps its first.",
    "account": "The account of the default namespace.",
    "shards": "How many shards a new stream begins with.",
    "aws_delays": "Tables and data streams stay CREATING for a while, as on AWS.",
    "rollover_ms": "When an open shard closes and one child continues it.",
    "retention_ms": "How long a stream keeps a record.",
    "kinesis_faults": "For trials: how many changes come late and again on their way into data streams "
    "(`KinesisFaults`).",
    "shard_limits": "Shards of data streams take 1,000 records and 1 MiB a second, and give 5 pages "
    "and 2 MiB; what is more is refused as AWS does it.",
    "split_records": "A shard that takes more records in a second is split; 0: never. Order "
    "holds for every item.",
    "one_namespace": "All regions and accounts that clients name are the default one. A data directory "
    "keeps its first.",
    "slice_rows": "How much housekeeping is done at once, between requests.",
}
CRASH_POINTS: Final = {
    "write.received": "a request is parsed, nothing is decided",
    "write.mutated": "the change is decided, nothing is durable",
    "commit.begun": "the group's transaction is open",
    "commit.written": "all of the group is written, not committed",
    "commit.done": "the group is durable, no client knows it",
    "answer.sent": "the clients know it",
    "lease.taken": "a worker holds a shard under a new epoch",
    "read.done": "records are in memory",
    "invoke.begun": "the handler is about to be called",
    "invoke.done": "the handler has returned, its recorded writes are not committed",
    "transaction.done": "its recorded writes and marks are durable",
    "park.begun": "a failing key is about to be parked",
    "park.done": "it is durably parked, its checkpoint is not saved",
    "stamp.done": "a mapping's checkpoint is under the new epoch, nothing is read under it",
    "checkpoint.begun": "a checkpoint is about to be saved",
    "checkpoint.done": "the checkpoint is durable",
}
ENVIRONMENT: Final = {
    "TAILRACE_CRASH_AT": "`point:count`: the process kills itself when it passes a point for the count-th "
    "time; for tests.",
    "TAILRACE_STATE": "On Lambda: where state is kept, `dynamodb:TABLE`; `app.lambda_state` without it.",
    "TAILRACE_HANDLERS": "On Lambda: the handlers that a function runs, by their ids, with commas; all of "
    "the app without it.",
    "TAILRACE_PARTIAL_RESPONSES": "On Lambda: `yes` or `no`, whether event source mappings read batch item "
    "failures; Lambda is asked without it.",
    "TAILRACE_RUNTIME": "What runs Lambda functions: `tailrace`, or `awslambdaric`, AWS's own runtime "
    "client, where it is installed.",
    "TAILRACE_DATA": "The data directory of every command that has `--data` and is given none.",
    "TAILRACE_CODE_VERSION": "The version of the code, as dead letters tell it; without it a hash of the "
    "handler's file.",
    "TAILRACE_TRACEBACK": "`1` shows the trace of an unexpected error instead of writing it to a file.",
}
