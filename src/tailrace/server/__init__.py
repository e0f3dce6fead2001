"""A node: HTTP, group commit, the control socket and its verbs, metrics."""
