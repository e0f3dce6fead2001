"""What is kept, as people, metrics and tests read it."""
