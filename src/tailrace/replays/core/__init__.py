"""What a replay is: effects, time and chance, differences, runs and their rows. Pure."""
