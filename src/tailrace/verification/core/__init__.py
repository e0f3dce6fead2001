"""What a comparison decides: what is suspect, what two looks come to, what a sample proves. Pure."""
