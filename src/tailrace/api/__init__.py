"""AWS's APIs: one registry of operations and one dispatcher for every protocol, one renderer of errors."""
