"""What a change is: its record, its sequence number, its shard, its iterator and its envelopes."""
