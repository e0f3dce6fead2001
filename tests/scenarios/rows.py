"""The rows that must be played: every statement of semantics §2.5, §2.6 and §2.8, and every
policy in every trouble.

Rules of this file: words only, for a person who has never seen the code. A scenario names the rows that it
plays in its head (`# row: 2.6/lowest`); test_rows.py demands one for each. What is no row, because nothing
can play it, is in NOT_PLAYED with the reason. Printed by __main__.py.
"""

from typing import Final

CHAPTERS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "2.5": ("Errors, retries and bisecting, as AWS Lambda does it (semantics §2.5)", {
        "blocks": "Retries come before any new batch of the lane; the lane is blocked meanwhile.",
        "lanes": "Each lane of a shard retries and blocks by itself.",
        "exception-uses-attempt": "An unhandled exception uses up an attempt.",
        "timeout-uses-attempt": "A time-out uses up an attempt.",
        "runtime-uses-attempt": "An answer that the runtime cannot send uses up an attempt.",
        "total-failure-uses-attempt": "An answer that reports the whole batch as failed uses up an attempt.",
        "throttle-is-free": "A throttled call uses up no attempt; it is repeated until it succeeds …",
        "unavailable-is-free": "An error before the function runs uses up no attempt; it is "
        "repeated until it succeeds …",
        "free-until-age": "… or until the record is older than MaximumRecordAgeInSeconds …",
        "free-until-expiry": "… or until the stream keeps the record no more.",
        "n-plus-one": "MaximumRetryAttempts N means at most N+1 invokes, and the failure "
        "document counts N+1.",
        "same-request": "An unchanged batch keeps its request id when it is tried again.",
        "new-request": "A batch that was cut down is a new batch: a new request id and a fresh "
        "budget of attempts.",
        "backoff": "The waits between attempts grow exponentially, up to a cap.",
        "raise-bisect": "An exception, bisect on: [1,2,3,4] [1,2] [1] [2] [2] [3,4]; record 2 is "
        "given up, count 2.",
        "partial-bisect": "A partial response, bisect on: [1,2,3,4] [2,3,4] [2] [2] [3,4]; record 2 is "
        "given up, count 2.",
        "partial-no-bisect": "A partial response, bisect off: [1,2,3,4] [2,3,4] [2,3,4]; records 2 to 4 "
        "are given up, count 2.",
        "raise-no-bisect": "An exception, bisect off, two retries: [1,2,3,4] three times; all four are "
        "given up, count 3.",
        "rule-1": "Rule 1: with bisect a failed batch is split at once, depth first; the first half has "
        "size//2 records.",
        "rule-2": "Rule 2: with bisect only a batch of one record uses up attempts.",
        "rule-3": "Rule 3: a partial failure that makes progress sends the rest whole, even with bisect, "
        "with a fresh budget.",
        "rule-4-bisect": "Rule 4: a partial failure without progress is a failed batch: with bisect "
        "it is split …",
        "rule-4-no-bisect": "… and without bisect its attempts count up.",
        "exception-bisects-reporting": "An exception bisects with ReportBatchItemFailures, too.",
        "six-records": "Six records, three retries, a partial response: the failing record is delivered 5 "
        "times, the document says 4.",
    }),
    "2.6": ("What a function's answer means with ReportBatchItemFailures (semantics §2.6)", {
        "nothing": "`{}`, null, no output and an empty string are full success.",
        "empty-list": "An empty or null `batchItemFailures` is full success.",
        "lowest": "A list of valid identifiers: everything from the lowest one on is sent again, what had "
        "succeeded too.",
        "empty-identifier": "An `itemIdentifier` that is empty or null is total failure.",
        "wrong-member": "Another member in place of `itemIdentifier` is total failure.",
        "unknown-identifier": "An identifier that is not in the batch is total failure.",
        "not-enabled": "Without ReportBatchItemFailures the answer is ignored: success.",
        "exception": "An exception, or an answer that is no JSON, is total failure.",
    }),
    "2.8": ("What the on-failure destination is told (semantics §2.8)", {
        "queue": "A queue gets the document as the message's body.",
        "topic": "A topic gets the same document as its message.",
        "exhausted": "Attempts used up: the condition is RetryAttemptsExhausted.",
        "age": "Too old: the condition is RecordAgeExceeded, and there is no responseContext.",
        "age-never-invoked": "Too old before the first invoke: approximateInvokeCount is 1 all the same.",
        "age-between-retries": "Too old between retries: approximateInvokeCount is the real count.",
        "unhandled": "After an exception functionError is \"Unhandled\"; statusCode is 200.",
        "partial-null": "After a partial response functionError is null, with its key; statusCode is 200.",
        "invalid-null": "After an identifier that is not in the batch functionError is null, too.",
        "names": "functionArn is the function's, as it is mapped; executedVersion is $LATEST.",
        "no-records": "Queue and topic get no records: shard and range of sequence numbers say "
        "where they are.",
        "bucket": "A bucket gets the same document with `payload`, the whole event as escaped JSON text.",
        "object-name": "The object is called aws/lambda/<mapping>/<shard>/YYYY/MM/DD/<moment>-<UUID>, its "
        "type is application/octet-stream.",
        "large-object": "An object has no limit of 256 KB.",
        "once": "Each document is delivered once.",
        "delivery-fails": "A delivery that fails counts as AWS counts it, DroppedEventCount and "
        "DestinationDeliveryFailures. Other than on AWS nothing is lost: the dead letter is kept, "
        "and the destination is asked again.",
        "window": "In a tumbling window the document has timeWindowInfo.",
        "final-invoke": "A final invoke has no records: DDBStreamBatchInfo is only shard and stream.",
    }),
    "poison": ("A record that always fails, under each policy", {
        "lambda": "Lambda's order: the lane stops behind the record until it is given up.",
        "park-key": "Park.key (the default): the item steps aside at the first failure, and is parked with "
        "its later changes.",
        "park-shard": "Park.shard: nothing new starts until the record succeeds.",
        "discard": "Discard: the record is given up, whole, into the dead letters, and its item goes on.",
        "drop": "Drop: the record is counted, and nothing of it is kept.",
        "batch": "A batch handler that cannot say which record it was: the batch is halved until "
        "it is known.",
        "most-keys": "Most items fail: a bug, no outage. They use their attempts and are "
        "parked, the others go on.",
        "all-keys": "All items fail alike until no more may be parked: the mapping pauses and samples one "
        "item a minute.",
    }),
    "outage": ("The other side is down, under each policy", {
        "lambda": "Lambda's order: the batch is repeated with growing waits, and uses up no attempt.",
        "park-key": "Park.key: the breaker opens, one change at a time is tried, and no record is parked "
        "for an outage.",
        "park-shard": "Park.shard: the same.",
        "discard": "Discard: the same; an outage gives nothing up.",
        "drop": "Drop: the same; an outage loses nothing.",
    }),
    "redrive": ("Putting back what was given up, under each policy", {
        "lambda": "Lambda's order: a dead letter goes to the function again, alone, and its lane waits "
        "before the item's next change.",
        "park-key": "Park.key: the item's changes are put back oldest first, and afterwards they "
        "flow as ever.",
        "park-shard": "Park.shard: nothing was put aside; mending the handler is the redrive.",
        "discard": "Discard: a dead letter is put back although its item went on, when nothing "
        "later has been handled.",
        "drop": "Drop: there is nothing to put back.",
        "fails-again": "What fails again when it is put back stays where it was, and so does "
        "what waits behind it.",
    }),
}  # fmt: skip

NOT_PLAYED: Final[dict[str, str]] = {
    "2.5 a record beyond 6 MB": "a change of two images of 400 KB each stays below 6 MB of JSON, "
    "so there is none",
    "2.6 SQS has no lowest number": "an event source mapping here reads DynamoDB streams only",
    "2.8 KinesisBatchInfo": "an event source mapping here reads DynamoDB streams only",
    "2.8 256 KB of a queue": "the document without records stays below 1 KB; sinks/destinations.py refuses "
    "a larger one, and its test shows it",
    "2.8 alias and version": "functions have no versions here; the API refuses a qualified name",
}

FACTS: Final[dict[str, str]] = {
    "2.5/blocks": r"^(\S+ invoke \[1 2\] .*?){3}invoke \[3 4\]",
    "2.5/lanes": r"invoke \[1\] lane 1 .* fails .*invoke \[4\] lane 0 .*invoke \[1\] lane 1 .* attempt 2 "
    r".*invoke \[3\] lane 1",
    "2.5/exception-uses-attempt": r"attempt 1 \S+ fails .*attempt 2",
    "2.5/timeout-uses-attempt": r"attempt 1 \S+ times out .*attempt 2",
    "2.5/runtime-uses-attempt": r"(answers what is no JSON .*){2}after 2 attempts",
    "2.5/total-failure-uses-attempt": r"dead letters \[1 2\]: RetryAttemptsExhausted after 2 attempts",
    "2.5/throttle-is-free": r"(attempt 1 \S+ throttled .*){3}attempt 1 \S+ fails .*after 1 attempts",
    "2.5/unavailable-is-free": r"(attempt 1 \S+ unavailable .*){3}attempt 1 \S+ checkpoint 2",
    "2.5/free-until-age": r"(attempt 1 \S+ throttled .*){4}60\.001 dead letter 1: "
    r"RecordAgeExceeded after 0 attempts",
    "2.5/free-until-expiry": r"86400\.000 invoke \[1\] .*86400\.001 dead letter 1",
    "2.5/n-plus-one": r"^(\S+ invoke .*?){3}\"approximateInvokeCount\": 3(?!.*invoke )",
    "2.5/same-request": r"request 1 attempt 1 .*request 1 attempt 2 .*request 1 attempt 3",
    "2.5/new-request": r"\[1 2 3 4\] request 1 attempt 1 .*\[2 3 4\] request 2 attempt 1 .*\[2 3 4\] "
    r"request 2 attempt 2",
    "2.5/backoff": r"0\.000 waits until 1\.000 .*1\.000 waits until 3\.000 .*3\.000 waits until 7\.000",
    "2.5/raise-bisect": r"dead letter 2: RetryAttemptsExhausted after 2 attempts",
    "2.5/partial-bisect": r"dead letter 2: RetryAttemptsExhausted after 2 attempts",
    "2.5/partial-no-bisect": r"dead letter 2: RetryAttemptsExhausted after 2 attempts .*dead letter 4: "
    r"RetryAttemptsExhausted after 2",
    "2.5/raise-no-bisect": r"dead letter 1: RetryAttemptsExhausted after 3 attempts .*dead letter 4: "
    r"RetryAttemptsExhausted after 3",
    "2.5/rule-1": r"invoke \[1 2 3\] .*invoke \[1\] .*invoke \[2 3\]",
    "2.5/rule-2": r"\[1 2 3 4\] request 1 attempt 1 .*\[1 2\] request 3 attempt 1 .*\[2\] "
    r"request 4 attempt 2",
    "2.5/rule-3": r"(attempt 1 \S+ fails from \d+ .*){2}",
    "2.5/rule-4-bisect": r"\[2 3 4\] request 2 attempt 1 \S+ fails from 2 .*\[2\] request 4 attempt 1",
    "2.5/rule-4-no-bisect": r"\[1 2 3\] request 1 attempt 1 \S+ fails from 1 .*\[1 2 3\] request 1 attempt 2",
    "2.5/exception-bisects-reporting": r"\[1 2 3 4\] request 1 attempt 1 \S+ fails .*\[1 2\] .*\[3 4\] "
    r".*\[3\] .*\[4\]",
    "2.5/six-records": r"after 4 attempts",
    "2.6/nothing": r"answers \{\} .*answers null .*returns nothing .*answers \"\" \S+ in the end$",
    "2.6/empty-list": r"\[\]\} .*: null\} \S+ in the end$",
    "2.6/lowest": r"invoke \[1 2 3 4\] .*\"<4>\".*\"<2>\".*invoke \[2 3 4\]",
    "2.6/empty-identifier": r"invoke \[1 2\] .*: \"\"\}.*invoke \[1 2\] .*: null\}.*in the end .*dead "
    r"letters \[1 2\]",
    "2.6/wrong-member": r"invoke \[1 2\] .*foo.*invoke \[1 2\] .*dead letters \[1 2\]",
    "2.6/unknown-identifier": r"nobody.*dead letters \[1 2\]",
    "2.6/not-enabled": r"\"<1>\".* in the end$",
    "2.6/exception": r"invoke \[1 2 3\] .*raises an exception .*invoke \[1 2 3\] \S+ \S+ \S+ in the end$",
    "2.8/queue": r"sqs\.send_message .*MessageBody: \{ \"requestContext\": .*\"version\": "
    r"\"1\.0\".*\"DDBStreamBatchInfo\"",
    "2.8/topic": r"sns\.publish .*Message: \{ \"requestContext\": .*\"version\": "
    r"\"1\.0\".*\"DDBStreamBatchInfo\"",
    "2.8/exhausted": r"\"condition\": \"RetryAttemptsExhausted\"",
    "2.8/age": r"\"condition\": \"RecordAgeExceeded\", \"approximateInvokeCount\": \d+ \}, \"version\"",
    "2.8/age-never-invoked": r"\"approximateInvokeCount\": 1 .*\"approximateInvokeCount\": 1 .*\[1 2 3\]: "
    r"RecordAgeExceeded after 0",
    "2.8/age-between-retries": r"^(\S+ invoke \[1\] .*?){6}\"approximateInvokeCount\": 6 "
    r".*RecordAgeExceeded after 6 attempts",
    "2.8/unhandled": r"\"statusCode\": 200, \"executedVersion\": "
    r"\"\$LATEST\", \"functionError\": \"Unhandled\"",
    "2.8/partial-null": r"\"statusCode\": 200, \"executedVersion\": \"\$LATEST\", \"functionError\": null",
    "2.8/invalid-null": r"nobody.*\"functionError\": null",
    "2.8/names": r"\"functionArn\": "
    r"\"arn:aws:lambda:us-east-1:000000000000:function:legacy\".*\"executedVersion\": \"\$LATEST\"",
    "2.8/no-records": r"^((?!Records|payload).)*\"startSequenceNumber\": \"\d+\", \"endSequenceNumber\": "
    r"\"\d+\"((?!Records|payload).)*$",
    "2.8/bucket": r"s3\.put_object .*\"payload\": \"\{\\\"Records\\\":\[\{\\\"eventID\\\"",
    "2.8/object-name": r"Key: aws/lambda/[-0-9a-f]{36}/shardId-\S+/2026/01/01/2026-01-01T00\.\d\d\.\d\d-"
    r"[-0-9a-f]{36} .*application/octet-stream",
    "2.8/large-object": r"\(400,\d+ characters\)",
    "2.8/once": r"sqs\.send_message, the same again \S+ DroppedEventCount ((?!sqs).)*$",
    "2.8/delivery-fails": r"DroppedEventCount 1, DestinationDeliveryFailures 2 .*dead letters \[1\]",
    "2.8/window": r"\"timeWindowInfo\": \{ \"start\": \"2026-01-01T00:00:00Z\", \"end\": "
    r"\"2026-01-01T00:01:00Z\"",
    "2.8/final-invoke": r"\"DDBStreamBatchInfo\": \{ \"shardId\": \"\S+\", \"streamArn\": \"\S+\" \}, "
    r"\"timeWindowInfo\"",
    "poison/lambda": r"attempt 3 \S+ fails \S+ invoke \[3 4\] .*dead letter 1: .*checkpoint 4$",
    "poison/park-key": r"park \[\d+( \d+)*\] after",
    "poison/park-shard": r"a failing change holds everything after it",
    "poison/discard": r"dead letter 1: RetryAttemptsExhausted",
    "poison/drop": r"^((?!dead letter|park ).)*dropped 1-1 \(1\)((?!dead letter|park ).)*$",
    "poison/batch": r"invoke \[1 2 3 4 5 6\] .*invoke \[2\] .*invoke \[4 6\] .*dead letter 2: .*after 2",
    "poison/most-keys": r"6 keys aside; not blocked .*parked 6-6 \(1\) \S+ status: 0 unsettled, 6 keys "
    r"parked; not blocked$",
    "poison/all-keys": r"it has paused: .*60\.000 invoke \[5\] .*120\.000 invoke \[6\] .*0 unsettled, 3 "
    r"keys parked; not blocked$",
    "outage/lambda": r"(unavailable .*){3}attempt 1 \S+ checkpoint",
    "outage/park-key": r"one change at a time is tried .*checkpoint((?!dead letter|park ).)*$",
    "outage/park-shard": r"one change at a time is tried .*0 unsettled; not blocked$",
    "outage/discard": r"^((?!dead letter).)*one change at a time is tried .*0 unsettled; not blocked$",
    "outage/drop": r"^((?!dropped).)*one change at a time is tried .*0 unsettled; not blocked$",
    "redrive/lambda": r"redrive \S+ invoke \[1\] .*put back 1, .*invoke \[3\]",
    "redrive/park-key": r"redrive 1 \S+ redrive 3 \S+ redrive 4 \S+ unparked a \S+ invoke \[5\]",
    "redrive/park-shard": r"attempt 5 \S+ invoke \[2\] .*0 unsettled; not blocked$",
    "redrive/discard": r"redrive \S+ call 3 \S+ put back 1, overtaken 1",
    "redrive/drop": r"put back 0, overtaken 0, failed 0",
    "redrive/fails-again": r"failed 1 .*call 1 \S+ call 2 \S+ put back 2",
}
"""What the trace of a scenario that plays a row must say, its blanks and line ends being one blank: so that
no rewriting makes a row empty.
"""
SEQUENCES: Final[dict[str, str]] = {
    "2.5/raise-bisect": "[1 2 3 4] [1 2] [1] [2] [2] [3 4]",
    "2.5/partial-bisect": "[1 2 3 4] [2 3 4] [2] [2] [3 4]",
    "2.5/partial-no-bisect": "[1 2 3 4] [2 3 4] [2 3 4]",
    "2.5/raise-no-bisect": "[1 2 3 4] [1 2 3 4] [1 2 3 4]",
}
"""The invocations that were captured on AWS, whole."""


def every() -> dict[str, str]:
    """Each row by its name, as `2.6/lowest`."""
    return {
        f"{chapter}/{name}": text for chapter, (_, rows) in CHAPTERS.items() for name, text in rows.items()
    }
