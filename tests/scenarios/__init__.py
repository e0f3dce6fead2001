"""Golden traces of the delivery machine: small stories, and what the machine must do in each."""
