"""Tailrace: DynamoDB Streams as one Python package."""
