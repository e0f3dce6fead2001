"""Amazon DynamoDB Streams as botocore 1.44.5 knows it: 4 operations, 14 shapes of their requests.

Rules of this file: data, made by `python -m tests.generated.shapes`; a test compares it with the model. Read by
`api.inputs`, which lays `api.overrides` over it. Stands alone as the model of every service does.
"""

from tailrace.api.models import Operations, Shapes

# fmt: off
API_VERSION = "2012-08-10"
NAMESPACE = ""
OPERATIONS: Operations = {
    "DescribeStream": {"method": "POST", "path": "/", "status": 200, "input": "DescribeStreamInput"},
    "GetRecords": {"method": "POST", "path": "/", "status": 200, "input": "GetRecordsInput"},
    "GetShardIterator": {"method": "POST", "path": "/", "status": 200, "input": "GetShardIteratorInput"},
    "ListStreams": {"method": "POST", "path": "/", "status": 200, "input": "ListStreamsInput"},
}
SHAPES: Shapes = {
    "DescribeStreamInput": {"type": "structure", "required": ("StreamArn",), "members": {"StreamArn":
        "StreamArn", "Limit": "PositiveIntegerObject", "ExclusiveStartShardId": "ShardId", "ShardFilter":
        "ShardFilter"}},
    "GetRecordsInput": {"type": "structure", "required": ("ShardIterator",), "members": {"ShardIterator":
        "ShardIterator", "Limit": "PositiveIntegerObject"}},
    "GetShardIteratorInput": {"type": "structure", "required": ("StreamArn", "ShardId",
        "ShardIteratorType"), "members": {"StreamArn": "StreamArn", "ShardId": "ShardId",
        "ShardIteratorType": "ShardIteratorType", "SequenceNumber": "SequenceNumber", "Timestamp":
        "Timestamp"}},
    "ListStreamsInput": {"type": "structure", "members": {"TableName": "TableName", "Limit":
        "PositiveIntegerObject", "ExclusiveStartStreamArn": "StreamArn"}},
    "PositiveIntegerObject": {"type": "integer", "min": 1},
    "SequenceNumber": {"type": "string", "min": 21, "max": 40},
    "ShardFilter": {"type": "structure", "members": {"Type": "ShardFilterType", "ShardId": "ShardId"}},
    "ShardFilterType": {"type": "string", "enum": ("CHILD_SHARDS",)},
    "ShardId": {"type": "string", "min": 28, "max": 65},
    "ShardIterator": {"type": "string", "min": 1, "max": 2048},
    "ShardIteratorType": {"type": "string", "enum": ("TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER",
        "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP")},
    "StreamArn": {"type": "string", "min": 37, "max": 1024},
    "TableName": {"type": "string", "min": 3, "max": 255, "pattern": "[a-zA-Z0-9_.-]+"},
    "Timestamp": {"type": "timestamp"},
}
