"""What a plan decides: traffic, service times, the run under virtual time, bottlenecks, costs. Pure."""
