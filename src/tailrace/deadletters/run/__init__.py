"""What runs for dead letters: redrives beside the live traffic, and notices to destinations."""
