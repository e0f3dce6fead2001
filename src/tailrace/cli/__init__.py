"""The command line: one file per command, each of which teaches what comes next."""
