"""What everything here that speaks to AWS shares. `errors`: one table of what a code says, and whose fault it is."""
