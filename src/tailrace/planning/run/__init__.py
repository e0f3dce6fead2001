"""What runs for plans: recorded traffic, measured durations, and one setting after the other."""
