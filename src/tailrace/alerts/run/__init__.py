"""What runs for alerts: looks now and then, and tells until it was heard."""
