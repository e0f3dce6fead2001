"""What is written about the code runs, and nothing goes unwritten."""
