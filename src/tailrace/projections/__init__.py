"""What a projection keeps, and how a change changes it: layouts and transitions."""
