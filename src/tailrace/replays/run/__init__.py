"""What runs for replays: changes of a journal, handlers on trial, live runs, two revisions side by side."""
