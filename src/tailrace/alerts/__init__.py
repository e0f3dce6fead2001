"""The room of alerts: what is told to people before it hurts, once when it begins and once when it ends.

Floors: `core` ◆ says what an alert is, when it begins and ends, and how its row lies; `run` looks, writes and
tells.
"""
