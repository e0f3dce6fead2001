"""Lambda functions in processes of their own: fed bytes, killed at their time-out."""
