"""The servers that sinks are tested against: PostgreSQL, moto, a search cluster in memory."""
