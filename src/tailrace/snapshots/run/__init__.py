"""What runs for snapshots: reading tables, writing to sinks, agreeing on resets, sweeping, forgetting."""
