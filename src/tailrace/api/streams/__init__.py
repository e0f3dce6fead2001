"""Operations of the target DynamoDBStreams_20120810."""
