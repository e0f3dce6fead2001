"""What a room of alerts decides: signs, transitions, rows, words. Pure."""
