"""The seeds that a planted bug is looked for in: first one at which it was seen, then all.

Rules of this file: a seed here saves time and decides nothing. When a change of the simulation moves a bug
elsewhere, it is found there, and the test is slow until the seed here follows.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

SEEN_AT: Final = {
    "a_change_of_a_lease_requires_its_epoch_alone": 54,
    "a_claim_is_never_taken_over": 103,
    "a_clean_up_does_not_wait": 30,
    "a_commit_asks_for_no_epoch": 61,
    "a_discarded_change_goes_beside_its_item": 2_646,
    "a_discarded_change_is_one_whoever_discarded_it": 30,
    "a_gap_begins_when_the_clock_says_so": 40,
    "a_gap_is_ignored": 750,
    "a_loser_never_ends": 9,
    "a_mapping_that_paused_stays_so": 363,
    "a_merge_loses_a_change": 1,
    "a_named_record_settles_those_before_it": 393,
    "a_parked_key_of_one_mapping_blocks_the_other": 128,
    "a_part_stands_for_the_whole_table": 21,
    "a_part_sweeps_all": 40,
    "a_range_is_doubled": 1,
    "a_reader_numbers_by_an_old_row": 293,
    "a_renamed_mapping_leaves_its_position": 86,
    "a_restart_forgets_the_ranges": 84,
    "a_shard_is_finished_without_a_look_at_its_target": 61,
    "a_stale_owners_delta_counts": 10,
    "a_start_forgets_the_parked_keys": 103,
    "a_stream_that_cannot_be_listed_is_off": 932,
    "a_tombstone_is_forgotten_too_early": 4,
    "a_worker_that_is_back_is_dead_until_it_is_looked_at_again": 9,
    "acknowledgements_are_taken_from_who_waits_for_them": 656,
    "an_archive_gives_up": 211,
    "an_emptied_target_is_told_of_no_gap": 732,
    "an_incremental_export_is_as_old_as_the_full_one": 19,
    "an_incremental_export_is_refused_though_it_joins": 19,
    "an_iterator_that_expired_is_the_end": 34,
    "an_orphan_is_read": 30,
    "an_outage_uses_attempts_up": 9,
    "letters_and_gaps_come_with_the_row": 30,
    "no_lease_tells_that_its_shard_is_finished": 6,
    "nobody_asks_to_be_woken": 11,
    "nobody_learns_what_others_have_saved": 7,
    "nothing_fences_a_parking": 554,
    "nothing_fences_a_save": 8,
    "one_mapping_goes_on_where_the_other_was": 30,
    "positions_are_taken_after_the_first_page": 84,
    "the_full_export_is_newer_than_what_follows_it": 19,
    "the_next_batch_does_not_wait_for_a_letter": 30,
    "there_is_always_room_to_park": 346,
    "two_deliver_under_one_epoch": 102,
    "two_take_a_lease_at_once": 167,
    "two_workers_put_one_key_back_at_once": 524,
    "what_failed_is_sent_after_what_follows": 24,
    "what_has_expired_is_not_read": 33,
    "what_is_filtered_is_settled_when_it_is_read": 58,
    "what_is_parked_may_come_back": 1_028,
    "what_is_parked_never_reaches_it": 19,
    "what_is_saved_of_one_mapping_is_taken_for_the_others": 42,
    "what_waited_comes_back_at_the_end": 11,
}
"""By the name of the planted bug; others show at once."""


def seeds_for(plant: object, seeds: Sequence[int]) -> Iterator[int]:
    """Where a planted bug is looked for."""
    first = SEEN_AT.get(getattr(plant, "__name__", ""))
    return chain(() if first is None else (first,), seeds)
