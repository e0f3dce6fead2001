"""Crash tests: real processes, real kills, and checkers that know only what clients were told."""
