"""Reading and writing lease tables, and moving checkpoints between them and state."""
