"""What a room of dead letters decides: layouts of rows and transitions. Pure."""
