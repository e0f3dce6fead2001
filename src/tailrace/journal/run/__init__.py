"""What runs for journals: archiving, reading, merging, the base."""
