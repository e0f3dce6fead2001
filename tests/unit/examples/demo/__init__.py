"""Unit tests of the parts of `tailrace demo`, which are loaded as the command loads them."""

from tailrace.cli.demo import loaded

loaded("showing")
