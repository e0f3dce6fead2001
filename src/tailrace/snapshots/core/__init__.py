"""What a snapshot is: its rows, its phases, what makes one due, its versions and its cost. Pure."""
