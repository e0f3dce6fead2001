"""Modules of the package that are made by a script: the scripts, and the tests that compare."""
