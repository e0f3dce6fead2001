"""What runs for windows: folding changes in, telling what is over, forgetting what is closed for good."""
