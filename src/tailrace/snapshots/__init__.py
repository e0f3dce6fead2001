"""The room of snapshots: a sink is given the whole table, and every change after it.

Floors: `core` ◆ says what a snapshot is, when one is due, by which versions its rows are ordered and what it
costs, `run` reads the table and writes to the sink, `views` reads both.
"""
