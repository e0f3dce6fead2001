"""Operations of the target DynamoDB_20120810."""
