"""Every exhibit of the museum, so that none is forgotten; docs/museum.md is made from their docstrings.

Rules of this file: an exhibit is a module of this package whose docstring says what went wrong in the wild
and why it does not here, or a reason why there is none. `python -m tests.museum` writes the page.
"""

from importlib import import_module
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "museum.md"
NOT_DELIVERY: Final = {
    12: (
        "A snapshot takes longer than the stream keeps (spiceai #10582)",
        "This is about bringing a table's present items to a consumer, not about delivering changes: "
        "snapshots go on from their last page, and what the stream has lost meanwhile makes another one due "
        "(docs/snapshots.md, tests/simulation/snapshot_worlds.py).",
    ),
}
"""Number → what it is called, and why it is no exhibit."""
EXHIBITS: Final = {
    1: "test_01_parent_gone",
    2: "test_02_tail_of_a_closed_shard",
    3: "test_03_iterator_expires",
    4: "test_04_shard_gone_before_refresh",
    5: "test_05_discovery_budget",
    6: "test_06_latest_for_children",
    7: "test_07_checkpoint_before_delivery",
    8: "test_08_shutdown_marks_finished",
    9: "test_09_no_lease_for_the_child",
    10: "test_10_checkpoint_older_than_retention",
    11: "test_11_transient_refusal",
    13: "test_13_deduplication_overflows",
    14: "test_14_stream_made_again",
    15: "test_15_graph_in_pages",
    16: "test_16_lease_counter_race",
    17: "test_17_shards_never_read",
    18: "test_18_attempts_begin_anew",
    19: "test_19_filtered_records_read_again",
    20: "test_20_exists_false",
    21: "test_21_write_without_change",
    22: "test_22_put_seen_as_two_changes",
    23: "test_23_replicated_expiry",
    24: "test_24_prefetched_records",
    25: "test_25_shared_checkpoint_table",
    26: "test_26_redriven_overwrites_newer",
    27: "test_27_key_of_a_deletion",
    28: "test_28_changes_in_one_second",
    29: "test_29_own_writes_that_settle",
    30: "test_30_memory_of_busy_shards",
    31: "test_31_end_of_a_shard_is_an_error",
    32: "test_32_storm_of_splits_and_merges",
    33: "test_33_two_subscribers_on_one_consumer",
    34: "test_34_creation_times_that_tie",
    35: "test_35_duplicates_with_other_numbers",
    36: "test_36_checkpoint_inside_an_aggregate",
}
WINGS: Final = {
    31: (
        "The wing of Kinesis",
        "Here the models read a data stream, and so does our handler beside them, most of them one that "
        "DynamoDB copies the changes of a table into.",
    ),
}
"""Number of the first exhibit → what the wing is called, and what is played in it."""
HEAD: Final = """# The museum

Readers of DynamoDB's streams have made the same mistakes for ten years. Here they are, one by one: what \
went wrong in the wild, and what
is different here. Each is a test: a small model of the faulty reader, in our own words, plays the scenario \
against the real stream service
of this package and fails; our delivery runs beside it on the same stream and does not. Where the mistake is \
one of reading, a plain reader
without it plays the scenario too, so that nothing else in the model is to blame. The models are of what was \
*reported*; the readers named
may have been mended since. Those that concern a reader are played over real HTTP, too \
(`tests/museum/test_over_http.py`): our worker
reads a server's stream over connections that are cut, throttled, answered twice and contradicted. The \
tests are in `tests/museum`;
this page is made from them (`python -m tests.museum`).
"""


def parts_of(module: str) -> list[str]:
    """The paragraphs of an exhibit's docstring: its name, what went wrong, what is different,
    each on one line.
    """
    text = import_module(f"tests.museum.{module}").__doc__ or ""
    return [" ".join(part.split()) for part in text.strip().split("\n\n")]


def page() -> str:
    """The page for people."""
    lines = [HEAD]
    for number in sorted({*EXHIBITS, *NOT_DELIVERY}):
        if number in WINGS:
            title, played = WINGS[number]
            lines.append(f"# {title}\n\n{played}\n")
        if number in NOT_DELIVERY:
            name, reason = NOT_DELIVERY[number]
            lines.append(f"## {number}. {name}\n\n*No exhibit.* {reason}\n")
            continue
        name, wild, here = parts_of(EXHIBITS[number])
        wild, here = wild.removeprefix("In the wild: "), here.removeprefix("Here: ")
        lines.append(
            f"## {number}. {name.removesuffix('.')}\n\n**In the wild:** {wild}\n\n**Here:** "
            f"{here}\n\n`tests/museum/{EXHIBITS[number]}.py`\n"
        )
    return "\n".join(lines)
