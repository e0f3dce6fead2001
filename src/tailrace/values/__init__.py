"""DynamoDB attribute values: what they are, how they travel, how they compare, what they weigh."""
