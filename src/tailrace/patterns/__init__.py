"""Event patterns: the language of filter criteria, as AWS's own engine understands it."""
