"""Fleets under faults: real workers that are killed, stopped, cut off, added and removed while their table is
written, and checkers that know what can be seen from outside.
"""
