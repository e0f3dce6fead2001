"""What runs for projections: applying changes to builds, filling builds, comparing one with its table."""
