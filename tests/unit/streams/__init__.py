"""Tests of what a change is: one file for each module of `tailrace.streams`."""
