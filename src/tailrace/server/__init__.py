"""The HTTP wire protocol of DynamoDB and DynamoDB Streams."""
