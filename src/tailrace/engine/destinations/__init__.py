"""Changes of tables on their way into data streams of Kinesis: destinations, their logs and deliveries."""
