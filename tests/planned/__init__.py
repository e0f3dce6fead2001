"""Plans beside workers in real time: what was predicted and what happened."""
