"""The room of aggregates: event sourcing over any DynamoDB table.

Floors: `core` ◆ says what events are as items and what a lost append means, `run` loads and appends, as
requests that a client carries out; app/aggregate.py is what users see of it.
"""
