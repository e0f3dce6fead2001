"""Amazon Kinesis as botocore 1.44.5 knows it: 57 operations, 173 shapes of their requests.

Rules of this file: data, made by `python -m tests.generated.shapes`; a test compares it with the model. Read by
`api.inputs`, which lays `api.overrides` over it. Stands alone as the model of every service does.
"""

from tailrace.api.models import Operations, Shapes

# fmt: off
API_VERSION = "2013-12-02"
NAMESPACE = ""
OPERATIONS: Operations = {
    "AcknowledgeDeadLetterQueueRecords": {"method": "POST", "path": "/", "status": 200, "input":
        "AcknowledgeDeadLetterQueueRecordsInput"},
    "AcknowledgeQueueRecords": {"method": "POST", "path": "/", "status": 200, "input":
        "AcknowledgeQueueRecordsInput"},
    "AddTagsToStream": {"method": "POST", "path": "/", "status": 200, "input": "AddTagsToStreamInput"},
    "CreateChannel": {"method": "POST", "path": "/", "status": 200, "input": "CreateChannelInput"},
    "CreateQueue": {"method": "POST", "path": "/", "status": 200, "input": "CreateQueueInput"},
    "CreateStream": {"method": "POST", "path": "/", "status": 200, "input": "CreateStreamInput"},
    "DecreaseStreamRetentionPeriod": {"method": "POST", "path": "/", "status": 200, "input":
        "DecreaseStreamRetentionPeriodInput"},
    "DeleteChannel": {"method": "POST", "path": "/", "status": 200, "input": "DeleteChannelInput"},
    "DeleteQueue": {"method": "POST", "path": "/", "status": 200, "input": "DeleteQueueInput"},
    "DeleteResourcePolicy": {"method": "POST", "path": "/", "status": 200, "input":
        "DeleteResourcePolicyInput"},
    "DeleteStream": {"method": "POST", "path": "/", "status": 200, "input": "DeleteStreamInput"},
    "DeregisterStreamConsumer": {"method": "POST", "path": "/", "status": 200, "input":
        "DeregisterStreamConsumerInput"},
    "DescribeAccountSettings": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeAccountSettingsInput"},
    "DescribeChannel": {"method": "POST", "path": "/", "status": 200, "input": "DescribeChannelInput"},
    "DescribeLimits": {"method": "POST", "path": "/", "status": 200, "input": "DescribeLimitsInput"},
    "DescribeQueue": {"method": "POST", "path": "/", "status": 200, "input": "DescribeQueueInput"},
    "DescribeStream": {"method": "POST", "path": "/", "status": 200, "input": "DescribeStreamInput"},
    "DescribeStreamConsumer": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeStreamConsumerInput"},
    "DescribeStreamSummary": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeStreamSummaryInput"},
    "DisableEnhancedMonitoring": {"method": "POST", "path": "/", "status": 200, "input":
        "DisableEnhancedMonitoringInput"},
    "EnableEnhancedMonitoring": {"method": "POST", "path": "/", "status": 200, "input":
        "EnableEnhancedMonitoringInput"},
    "GetRecords": {"method": "POST", "path": "/", "status": 200, "input": "GetRecordsInput"},
    "GetResourcePolicy": {"method": "POST", "path": "/", "status": 200, "input": "GetResourcePolicyInput"},
    "GetShardIterator": {"method": "POST", "path": "/", "status": 200, "input": "GetShardIteratorInput"},
    "IncreaseStreamRetentionPeriod": {"method": "POST", "path": "/", "status": 200, "input":
        "IncreaseStreamRetentionPeriodInput"},
    "ListChannels": {"method": "POST", "path": "/", "status": 200, "input": "ListChannelsInput"},
    "ListQueues": {"method": "POST", "path": "/", "status": 200, "input": "ListQueuesInput"},
    "ListShards": {"method": "POST", "path": "/", "status": 200, "input": "ListShardsInput"},
    "ListStreamConsumers": {"method": "POST", "path": "/", "status": 200, "input":
        "ListStreamConsumersInput"},
    "ListStreams": {"method": "POST", "path": "/", "status": 200, "input": "ListStreamsInput"},
    "ListTagsForResource": {"method": "POST", "path": "/", "status": 200, "input":
        "ListTagsForResourceInput"},
    "ListTagsForStream": {"method": "POST", "path": "/", "status": 200, "input": "ListTagsForStreamInput"},
    "MergeShards": {"method": "POST", "path": "/", "status": 200, "input": "MergeShardsInput"},
    "PutRecord": {"method": "POST", "path": "/", "status": 200, "input": "PutRecordInput"},
    "PutRecords": {"method": "POST", "path": "/", "status": 200, "input": "PutRecordsInput"},
    "PutResourcePolicy": {"method": "POST", "path": "/", "status": 200, "input": "PutResourcePolicyInput"},
    "ReceiveDeadLetterQueueRecords": {"method": "POST", "path": "/", "status": 200, "input":
        "ReceiveDeadLetterQueueRecordsInput"},
    "ReceiveQueueRecords": {"method": "POST", "path": "/", "status": 200, "input":
        "ReceiveQueueRecordsInput"},
    "RegisterStreamConsumer": {"method": "POST", "path": "/", "status": 200, "input":
        "RegisterStreamConsumerInput"},
    "RemoveTagsFromStream": {"method": "POST", "path": "/", "status": 200, "input":
        "RemoveTagsFromStreamInput"},
    "RestoreDeadLetterQueueRecords": {"method": "POST", "path": "/", "status": 200, "input":
        "RestoreDeadLetterQueueRecordsInput"},
    "SplitShard": {"method": "POST", "path": "/", "status": 200, "input": "SplitShardInput"},
    "StartStreamEncryption": {"method": "POST", "path": "/", "status": 200, "input":
        "StartStreamEncryptionInput"},
    "StopStreamEncryption": {"method": "POST", "path": "/", "status": 200, "input":
        "StopStreamEncryptionInput"},
    "SubscribeToShard": {"method": "POST", "path": "/", "status": 200, "input": "SubscribeToShardInput"},
    "TagResource": {"method": "POST", "path": "/", "status": 200, "input": "TagResourceInput"},
    "UntagResource": {"method": "POST", "path": "/", "status": 200, "input": "UntagResourceInput"},
    "UpdateAccountSettings": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateAccountSettingsInput"},
    "UpdateChannel": {"method": "POST", "path": "/", "status": 200, "input": "UpdateChannelInput"},
    "UpdateDeadLetterQueueRecordsVisibility": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateDeadLetterQueueRecordsVisibilityInput"},
    "UpdateMaxRecordSize": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateMaxRecordSizeInput"},
    "UpdateQueue": {"method": "POST", "path": "/", "status": 200, "input": "UpdateQueueInput"},
    "UpdateQueueRecordsVisibility": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateQueueRecordsVisibilityInput"},
    "UpdateShardCount": {"method": "POST", "path": "/", "status": 200, "input": "UpdateShardCountInput"},
    "UpdateStreamMode": {"method": "POST", "path": "/", "status": 200, "input": "UpdateStreamModeInput"},
    "UpdateStreamRecordDistributionStrategy": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateStreamRecordDistributionStrategyInput"},
    "UpdateStreamWarmThroughput": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateStreamWarmThroughputInput"},
}
SHAPES: Shapes = {
    "AcknowledgeDeadLetterQueueRecordsInput": {"type": "structure", "required": ("QueueARN", "Entries"),
        "members": {"QueueARN": "QueueARN", "Entries":
        "AcknowledgeDeadLetterQueueRecordsRequestEntryList"}},
    "AcknowledgeDeadLetterQueueRecordsRequestEntry": {"type": "structure", "required": ("ReceiptHandle",),
        "members": {"ReceiptHandle": "ReceiptHandle"}},
    "AcknowledgeDeadLetterQueueRecordsRequestEntryList": {"type": "list", "min": 1, "max": 10, "member":
        "AcknowledgeDeadLetterQueueRecordsRequestEntry"},
    "AcknowledgeQueueRecordsInput": {"type": "structure", "required": ("QueueARN", "Entries"), "members":
        {"QueueARN": "QueueARN", "Entries": "AcknowledgeQueueRecordsRequestEntryList"}},
    "AcknowledgeQueueRecordsRequestEntry": {"type": "structure", "required": ("ReceiptHandle",), "members":
        {"ReceiptHandle": "ReceiptHandle"}},
    "AcknowledgeQueueRecordsRequestEntryList": {"type": "list", "min": 1, "max": 10, "member":
        "AcknowledgeQueueRecordsRequestEntry"},
    "AddTagsToStreamInput": {"type": "structure", "required": ("Tags",), "members": {"StreamName":
        "StreamName", "Tags": "TagMap", "StreamARN": "StreamARN", "StreamId": "StreamId"}},
    "BooleanObject": {"type": "boolean"},
    "BucketARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "arn:aws[-a-z0-9]*:s3:::[a-z0-9._-]{3,63}"},
    "ChannelARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "arn:aws.*:kinesis:.*:\\d{12}:channel/\\S+"},
    "ChannelEncryptionConfiguration": {"type": "structure", "required": ("EncryptionType", "KeyId"),
        "members": {"EncryptionType": "ChannelEncryptionType", "KeyId": "KeyId"}},
    "ChannelEncryptionType": {"type": "string", "enum": ("KMS",)},
    "ChannelLoggingConfiguration": {"type": "structure", "required": ("CloudWatchLogs",), "members":
        {"CloudWatchLogs": "CloudWatchLogs"}},
    "ChannelLoggingUpdateInput": {"type": "structure", "required": ("CloudWatchLogs",), "members":
        {"CloudWatchLogs": "CloudWatchLogsUpdateInput"}},
    "ChannelName": {"type": "string", "min": 1, "max": 128, "pattern": "[a-zA-Z0-9_.-]+"},
    "ChannelStreamConfiguration": {"type": "structure", "required": ("StreamARN", "RecordConfiguration"),
        "members": {"StreamARN": "StreamARN", "RecordConfiguration": "RecordConfiguration"}},
    "ChannelStreamConfigurationList": {"type": "list", "min": 1, "max": 10000, "member":
        "ChannelStreamConfiguration"},
    "CloudWatchLogGroupName": {"type": "string", "min": 1, "max": 512, "pattern": "[\\.\\-_/#A-Za-z0-9]+"},
    "CloudWatchLogStreamName": {"type": "string", "min": 1, "max": 512, "pattern": "[^:*]*"},
    "CloudWatchLogs": {"type": "structure", "required": ("Enabled",), "members": {"Enabled":
        "BooleanObject", "LogGroupName": "CloudWatchLogGroupName", "LogStreamName":
        "CloudWatchLogStreamName"}},
    "CloudWatchLogsUpdateInput": {"type": "structure", "required": ("Enabled",), "members": {"Enabled":
        "BooleanObject", "LogGroupName": "CloudWatchLogGroupName", "LogStreamName":
        "CloudWatchLogStreamName"}},
    "ConsumerARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+"},
    "ConsumerName": {"type": "string", "min": 1, "max": 128, "pattern": "[a-zA-Z0-9_.-]+"},
    "CreateChannelInput": {"type": "structure", "required": ("ChannelName", "ServiceExecutionRoleARN",
        "StreamConfigurationList"), "members": {"ChannelName": "ChannelName", "ServiceExecutionRoleARN":
        "RoleARN", "StreamConfigurationList": "ChannelStreamConfigurationList",
        "S3DestinationConfiguration": "S3DestinationConfiguration", "S3TablesDestinationConfiguration":
        "S3TablesDestinationConfiguration", "EncryptionConfiguration": "ChannelEncryptionConfiguration",
        "Tags": "TagMap", "LoggingConfiguration": "ChannelLoggingConfiguration"}},
    "CreateQueueInput": {"type": "structure", "required": ("QueueName", "StreamConfigurationList"),
        "members": {"QueueName": "QueueName", "StreamConfigurationList": "QueueStreamConfigurationList",
        "QueueAttributes": "QueueAttributes", "Tags": "TagMap"}},
    "CreateStreamInput": {"type": "structure", "required": ("StreamName",), "members": {"StreamName":
        "StreamName", "ShardCount": "PositiveIntegerObject", "StreamModeDetails": "StreamModeDetails",
        "Tags": "TagMap", "WarmThroughputMiBps": "NaturalIntegerObject", "MaxRecordSizeInKiB":
        "MaxRecordSizeInKiB", "RecordDistributionStrategy": "RecordDistributionStrategy"}},
    "Data": {"type": "blob", "min": 0, "max": 10485760},
    "DataFreshnessInSeconds": {"type": "integer"},
    "DeadLetterConfiguration": {"type": "structure", "required": ("TargetType",), "members": {"TargetType":
        "TargetType", "MaxReceiveCount": "MaxReceiveCount"}},
    "DeadLetterQueueS3Configuration": {"type": "structure", "required": ("BucketARN",
        "ExpectedBucketOwner"), "members": {"BucketARN": "BucketARN", "ExpectedBucketOwner":
        "ExpectedBucketOwner", "ErrorOutputPrefix": "S3ErrorOutputPrefix"}},
    "DecreaseStreamRetentionPeriodInput": {"type": "structure", "required": ("RetentionPeriodHours",),
        "members": {"StreamName": "StreamName", "RetentionPeriodHours": "RetentionPeriodHours", "StreamARN":
        "StreamARN", "StreamId": "StreamId"}},
    "DeleteChannelInput": {"type": "structure", "required": ("ChannelARN",), "members": {"ChannelARN":
        "ChannelARN"}},
    "DeleteQueueInput": {"type": "structure", "required": ("QueueARN",), "members": {"QueueARN":
        "QueueARN"}},
    "DeleteResourcePolicyInput": {"type": "structure", "required": ("ResourceARN",), "members":
        {"ResourceARN": "ResourceARN", "StreamId": "StreamId"}},
    "DeleteStreamInput": {"type": "structure", "members": {"StreamName": "StreamName",
        "EnforceConsumerDeletion": "BooleanObject", "StreamARN": "StreamARN", "StreamId": "StreamId"}},
    "DeregisterStreamConsumerInput": {"type": "structure", "members": {"StreamARN": "StreamARN",
        "ConsumerName": "ConsumerName", "ConsumerARN": "ConsumerARN", "StreamId": "StreamId"}},
    "DescribeAccountSettingsInput": {"type": "structure", "members": {}},
    "DescribeChannelInput": {"type": "structure", "required": ("ChannelARN",), "members": {"ChannelARN":
        "ChannelARN"}},
    "DescribeLimitsInput": {"type": "structure", "members": {}},
    "DescribeQueueInput": {"type": "structure", "required": ("QueueARN",), "members": {"QueueARN":
        "QueueARN"}},
    "DescribeStreamConsumerInput": {"type": "structure", "members": {"StreamARN": "StreamARN",
        "ConsumerName": "ConsumerName", "ConsumerARN": "ConsumerARN", "StreamId": "StreamId"}},
    "DescribeStreamInput": {"type": "structure", "members": {"StreamName": "StreamName", "Limit":
        "DescribeStreamInputLimit", "ExclusiveStartShardId": "ShardId", "StreamARN": "StreamARN",
        "StreamId": "StreamId"}},
    "DescribeStreamInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "DescribeStreamSummaryInput": {"type": "structure", "members": {"StreamName": "StreamName", "StreamARN":
        "StreamARN", "StreamId": "StreamId"}},
    "DisableEnhancedMonitoringInput": {"type": "structure", "required": ("ShardLevelMetrics",), "members":
        {"StreamName": "StreamName", "ShardLevelMetrics": "MetricsNameList", "StreamARN": "StreamARN",
        "StreamId": "StreamId"}},
    "EnableEnhancedMonitoringInput": {"type": "structure", "required": ("ShardLevelMetrics",), "members":
        {"StreamName": "StreamName", "ShardLevelMetrics": "MetricsNameList", "StreamARN": "StreamARN",
        "StreamId": "StreamId"}},
    "EncryptionType": {"type": "string", "enum": ("NONE", "KMS")},
    "ExpectedBucketOwner": {"type": "string", "min": 12, "max": 12, "pattern": "\\d{12}"},
    "GSRSchemaARN": {"type": "string", "min": 1, "max": 512, "pattern":
        "arn:aws[-a-z0-9]*:glue:[-a-z0-9]+:\\d{12}:schema/[-a-zA-Z0-9_$#.]+/[-a-zA-Z0-9_$#.]+"},
    "GetRecordsInput": {"type": "structure", "required": ("ShardIterator",), "members": {"ShardIterator":
        "ShardIterator", "Limit": "GetRecordsInputLimit", "StreamARN": "StreamARN", "StreamId": "StreamId",
        "DryRun": "BooleanObject"}},
    "GetRecordsInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "GetResourcePolicyInput": {"type": "structure", "required": ("ResourceARN",), "members": {"ResourceARN":
        "ResourceARN", "StreamId": "StreamId"}},
    "GetShardIteratorInput": {"type": "structure", "required": ("ShardId", "ShardIteratorType"), "members":
        {"StreamName": "StreamName", "ShardId": "ShardId", "ShardIteratorType": "ShardIteratorType",
        "StartingSequenceNumber": "SequenceNumber", "Timestamp": "Timestamp", "StreamARN": "StreamARN",
        "StreamId": "StreamId", "DryRun": "BooleanObject"}},
    "HashKey": {"type": "string", "pattern": "^(0|([1-9]\\d{0,38}))$"},
    "IncreaseStreamRetentionPeriodInput": {"type": "structure", "required": ("RetentionPeriodHours",),
        "members": {"StreamName": "StreamName", "RetentionPeriodHours": "RetentionPeriodHours", "StreamARN":
        "StreamARN", "StreamId": "StreamId"}},
    "KeyId": {"type": "string", "min": 1, "max": 2048},
    "ListChannelsInput": {"type": "structure", "members": {"StreamFilter": "StreamFilterList", "MaxResults":
        "ListChannelsInputLimit", "NextToken": "NextToken"}},
    "ListChannelsInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "ListQueuesInput": {"type": "structure", "members": {"MaxResults": "ListQueuesInputLimit", "NextToken":
        "NextToken", "StreamFilter": "QueueStreamFilterList"}},
    "ListQueuesInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "ListShardsInput": {"type": "structure", "members": {"StreamName": "StreamName", "NextToken":
        "NextToken", "ExclusiveStartShardId": "ShardId", "MaxResults": "ListShardsInputLimit",
        "StreamCreationTimestamp": "Timestamp", "ShardFilter": "ShardFilter", "StreamARN": "StreamARN",
        "StreamId": "StreamId"}},
    "ListShardsInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "ListStreamConsumersInput": {"type": "structure", "required": ("StreamARN",), "members": {"StreamARN":
        "StreamARN", "NextToken": "NextToken", "MaxResults": "ListStreamConsumersInputLimit",
        "StreamCreationTimestamp": "Timestamp", "StreamId": "StreamId"}},
    "ListStreamConsumersInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "ListStreamsInput": {"type": "structure", "members": {"Limit": "ListStreamsInputLimit",
        "ExclusiveStartStreamName": "StreamName", "NextToken": "NextToken"}},
    "ListStreamsInputLimit": {"type": "integer", "min": 1, "max": 10000},
    "ListTagsForResourceInput": {"type": "structure", "required": ("ResourceARN",), "members":
        {"ResourceARN": "ResourceARN", "StreamId": "StreamId"}},
    "ListTagsForStreamInput": {"type": "structure", "members": {"StreamName": "StreamName",
        "ExclusiveStartTagKey": "TagKey", "Limit": "ListTagsForStreamInputLimit", "StreamARN": "StreamARN",
        "StreamId": "StreamId"}},
    "ListTagsForStreamInputLimit": {"type": "integer", "min": 1, "max": 50},
    "MaxReceiveCount": {"type": "integer", "min": 1, "max": 1000},
    "MaxRecordSizeInKiB": {"type": "integer", "min": 1024, "max": 10240},
    "MergeShardsInput": {"type": "structure", "required": ("ShardToMerge", "AdjacentShardToMerge"),
        "members": {"StreamName": "StreamName", "ShardToMerge": "ShardId", "AdjacentShardToMerge":
        "ShardId", "StreamARN": "StreamARN", "StreamId": "StreamId"}},
    "MetricsName": {"type": "string", "enum": ("IncomingBytes", "IncomingRecords", "OutgoingBytes",
        "OutgoingRecords", "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded",
        "IteratorAgeMilliseconds", "ALL")},
    "MetricsNameList": {"type": "list", "min": 1, "max": 7, "member": "MetricsName"},
    "MinimumThroughputBillingCommitmentInput": {"type": "structure", "required": ("Status",), "members":
        {"Status": "MinimumThroughputBillingCommitmentInputStatus"}},
    "MinimumThroughputBillingCommitmentInputStatus": {"type": "string", "enum": ("ENABLED", "DISABLED")},
    "NaturalIntegerObject": {"type": "integer", "min": 0},
    "NextToken": {"type": "string", "min": 1, "max": 1048576},
    "PartitionField": {"type": "structure", "required": ("Transform", "SourceName"), "members":
        {"Transform": "PartitionTransform", "SourceName": "PartitionSourceName"}},
    "PartitionFieldList": {"type": "list", "min": 1, "max": 10, "member": "PartitionField"},
    "PartitionKey": {"type": "string", "min": 1, "max": 256},
    "PartitionSourceName": {"type": "string", "min": 1, "max": 255, "pattern": "[a-zA-Z0-9\\.\\_]+"},
    "PartitionSpec": {"type": "structure", "required": ("PartitionFields",), "members": {"PartitionFields":
        "PartitionFieldList"}},
    "PartitionTransform": {"type": "string", "enum": ("TIME_HOUR",)},
    "Policy": {"type": "string"},
    "PositiveIntegerObject": {"type": "integer", "min": 1},
    "PutRecordInput": {"type": "structure", "required": ("Data",), "members": {"StreamName": "StreamName",
        "Data": "Data", "PartitionKey": "PartitionKey", "ExplicitHashKey": "HashKey",
        "SequenceNumberForOrdering": "SequenceNumber", "StreamARN": "StreamARN", "StreamId": "StreamId",
        "DryRun": "BooleanObject"}},
    "PutRecordsInput": {"type": "structure", "required": ("Records",), "members": {"Records":
        "PutRecordsRequestEntryList", "StreamName": "StreamName", "StreamARN": "StreamARN", "StreamId":
        "StreamId", "DryRun": "BooleanObject"}},
    "PutRecordsRequestEntry": {"type": "structure", "required": ("Data",), "members": {"Data": "Data",
        "ExplicitHashKey": "HashKey", "PartitionKey": "PartitionKey"}},
    "PutRecordsRequestEntryList": {"type": "list", "min": 1, "max": 500, "member":
        "PutRecordsRequestEntry"},
    "PutResourcePolicyInput": {"type": "structure", "required": ("ResourceARN", "Policy"), "members":
        {"ResourceARN": "ResourceARN", "StreamId": "StreamId", "Policy": "Policy"}},
    "QueueARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "arn:aws.*:kinesis:.*:\\d{12}:queue/\\S+"},
    "QueueAttributes": {"type": "structure", "members": {"VisibilityTimeoutSeconds":
        "VisibilityTimeoutSeconds", "DeadLetterConfiguration": "DeadLetterConfiguration"}},
    "QueueName": {"type": "string", "min": 1, "max": 128, "pattern": "[a-zA-Z0-9_.-]+"},
    "QueueStartingPosition": {"type": "structure", "required": ("Type",), "members": {"Type":
        "QueueStartingPositionType", "Timestamp": "Timestamp"}},
    "QueueStartingPositionType": {"type": "string", "enum": ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")},
    "QueueStreamConfiguration": {"type": "structure", "required": ("StreamARN",), "members": {"StreamARN":
        "StreamARN", "StartingPosition": "QueueStartingPosition"}},
    "QueueStreamConfigurationList": {"type": "list", "min": 1, "max": 10000, "member":
        "QueueStreamConfiguration"},
    "QueueStreamFilter": {"type": "structure", "required": ("StreamARN",), "members": {"StreamARN":
        "StreamARN", "StreamCreationTimestamp": "Timestamp"}},
    "QueueStreamFilterList": {"type": "list", "min": 1, "max": 10000, "member": "QueueStreamFilter"},
    "ReceiptHandle": {"type": "string", "min": 1, "max": 1024},
    "ReceiveDeadLetterQueueRecordsInput": {"type": "structure", "required": ("QueueARN",), "members":
        {"QueueARN": "QueueARN", "Limit": "ReceiveQueueRecordsInputLimit", "WaitTimeSeconds":
        "ReceiveQueueRecordsWaitTimeSeconds", "VisibilityTimeoutSeconds": "VisibilityTimeoutSeconds"}},
    "ReceiveQueueRecordsInput": {"type": "structure", "required": ("QueueARN",), "members": {"QueueARN":
        "QueueARN", "Limit": "ReceiveQueueRecordsInputLimit", "WaitTimeSeconds":
        "ReceiveQueueRecordsWaitTimeSeconds", "VisibilityTimeoutSeconds": "VisibilityTimeoutSeconds"}},
    "ReceiveQueueRecordsInputLimit": {"type": "integer", "min": 1, "max": 10},
    "ReceiveQueueRecordsWaitTimeSeconds": {"type": "integer", "min": 1, "max": 20},
    "RecordConfiguration": {"type": "structure", "required": ("RecordFormatType",), "members":
        {"RecordFormatType": "RecordFormatType", "GSRSchemaARN": "GSRSchemaARN"}},
    "RecordDistributionStrategy": {"type": "string", "enum": ("AUTO", "USER_PARTITION_KEY")},
    "RecordFormatType": {"type": "string", "enum": ("GSR_JSON", "JSON", "STRING", "BYTE_ARRAY")},
    "RegisterStreamConsumerInput": {"type": "structure", "required": ("StreamARN", "ConsumerName"),
        "members": {"StreamARN": "StreamARN", "ConsumerName": "ConsumerName", "StreamId": "StreamId",
        "Tags": "TagMap"}},
    "RemoveTagsFromStreamInput": {"type": "structure", "required": ("TagKeys",), "members": {"StreamName":
        "StreamName", "TagKeys": "TagKeyList", "StreamARN": "StreamARN", "StreamId": "StreamId"}},
    "ResourceARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "arn:aws.*:kinesis:.*:\\d{12}:.*(stream|channel|queue)/\\S+"},
    "RestoreDeadLetterQueueRecordsInput": {"type": "structure", "required": ("QueueARN", "Entries"),
        "members": {"QueueARN": "QueueARN", "Entries": "RestoreDeadLetterQueueRecordsRequestEntryList"}},
    "RestoreDeadLetterQueueRecordsRequestEntry": {"type": "structure", "required": ("ReceiptHandle",),
        "members": {"ReceiptHandle": "ReceiptHandle"}},
    "RestoreDeadLetterQueueRecordsRequestEntryList": {"type": "list", "min": 1, "max": 10, "member":
        "RestoreDeadLetterQueueRecordsRequestEntry"},
    "RetentionPeriodHours": {"type": "integer"},
    "RoleARN": {"type": "string", "min": 1, "max": 512, "pattern":
        "arn:aws[-a-z0-9]*:iam::\\d{12}:role/[a-zA-Z_0-9+=,.@\\-_/]+"},
    "S3CompressionType": {"type": "string", "enum": ("NONE", "GZIP", "ZSTD")},
    "S3DestinationConfiguration": {"type": "structure", "required": ("StorageConfiguration",), "members":
        {"DataFreshnessInSeconds": "DataFreshnessInSeconds", "DeadLetterQueueS3Configuration":
        "DeadLetterQueueS3Configuration", "StorageConfiguration": "S3StorageConfiguration"}},
    "S3DestinationUpdateInput": {"type": "structure", "required": ("DataFreshnessInSeconds",), "members":
        {"DataFreshnessInSeconds": "DataFreshnessInSeconds"}},
    "S3ErrorOutputPrefix": {"type": "string", "min": 1, "max": 512, "pattern": "[0-9A-Za-z!\\-_'.*()\\/]+"},
    "S3OutputKeyTemplate": {"type": "string", "min": 1, "max": 1024, "pattern":
        "[0-9A-Za-z!\\-_'.*()\\/=:{}]+"},
    "S3StorageClass": {"type": "string", "enum": ("STANDARD", "INTELLIGENT_TIERING", "GLACIER_IR")},
    "S3StorageConfiguration": {"type": "structure", "required": ("BucketARN", "ExpectedBucketOwner",
        "CompressionType"), "members": {"BucketARN": "BucketARN", "ExpectedBucketOwner":
        "ExpectedBucketOwner", "OutputKeyTemplate": "S3OutputKeyTemplate", "StorageClass": "S3StorageClass",
        "CompressionType": "S3CompressionType"}},
    "S3TablesCompressionType": {"type": "string", "enum": ("NONE", "ZSTD", "SNAPPY")},
    "S3TablesConfiguration": {"type": "structure", "required": ("TableBucketARN", "Namespace", "TableName",
        "CompressionType"), "members": {"TableBucketARN": "TableBucketARN", "Namespace":
        "S3TablesNamespace", "TableName": "S3TablesTableName", "CompressionType": "S3TablesCompressionType",
        "PartitionSpec": "PartitionSpec"}},
    "S3TablesConfigurationList": {"type": "list", "min": 1, "max": 10000, "member":
        "S3TablesConfiguration"},
    "S3TablesDestinationConfiguration": {"type": "structure", "required": ("DeadLetterQueueS3Configuration",
        "S3TablesConfigurationList"), "members": {"DataFreshnessInSeconds": "DataFreshnessInSeconds",
        "DeadLetterQueueS3Configuration": "DeadLetterQueueS3Configuration", "S3TablesConfigurationList":
        "S3TablesConfigurationList"}},
    "S3TablesDestinationUpdateInput": {"type": "structure", "required": ("DataFreshnessInSeconds",),
        "members": {"DataFreshnessInSeconds": "DataFreshnessInSeconds"}},
    "S3TablesNamespace": {"type": "string", "min": 1, "max": 255, "pattern": "[0-9a-z_]+"},
    "S3TablesTableName": {"type": "string", "min": 1, "max": 255, "pattern": "[0-9a-z_]+"},
    "ScalingType": {"type": "string", "enum": ("UNIFORM_SCALING",)},
    "SequenceNumber": {"type": "string", "pattern": "^(0|([1-9]\\d{0,128}))$"},
    "ShardFilter": {"type": "structure", "required": ("Type",), "members": {"Type": "ShardFilterType",
        "ShardId": "ShardId", "Timestamp": "Timestamp"}},
    "ShardFilterType": {"type": "string", "enum": ("AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON",
        "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP")},
    "ShardId": {"type": "string", "min": 1, "max": 128, "pattern": "[a-zA-Z0-9_.-]+"},
    "ShardIterator": {"type": "string", "min": 1, "max": 512},
    "ShardIteratorType": {"type": "string", "enum": ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER",
        "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")},
    "SplitShardInput": {"type": "structure", "required": ("ShardToSplit", "NewStartingHashKey"), "members":
        {"StreamName": "StreamName", "ShardToSplit": "ShardId", "NewStartingHashKey": "HashKey",
        "StreamARN": "StreamARN", "StreamId": "StreamId"}},
    "StartStreamEncryptionInput": {"type": "structure", "required": ("EncryptionType", "KeyId"), "members":
        {"StreamName": "StreamName", "EncryptionType": "EncryptionType", "KeyId": "KeyId", "StreamARN":
        "StreamARN", "StreamId": "StreamId"}},
    "StartingPosition": {"type": "structure", "required": ("Type",), "members": {"Type":
        "ShardIteratorType", "SequenceNumber": "SequenceNumber", "Timestamp": "Timestamp"}},
    "StopStreamEncryptionInput": {"type": "structure", "required": ("EncryptionType", "KeyId"), "members":
        {"StreamName": "StreamName", "EncryptionType": "EncryptionType", "KeyId": "KeyId", "StreamARN":
        "StreamARN", "StreamId": "StreamId"}},
    "StreamARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"},
    "StreamFilter": {"type": "structure", "required": ("StreamARN",), "members": {"StreamARN": "StreamARN",
        "StreamCreationTimestamp": "Timestamp"}},
    "StreamFilterList": {"type": "list", "min": 1, "max": 10000, "member": "StreamFilter"},
    "StreamId": {"type": "string", "min": 1, "max": 24, "pattern": "[a-z0-9]{20}-[a-z0-9]{3}"},
    "StreamMode": {"type": "string", "enum": ("PROVISIONED", "ON_DEMAND")},
    "StreamModeDetails": {"type": "structure", "required": ("StreamMode",), "members": {"StreamMode":
        "StreamMode"}},
    "StreamName": {"type": "string", "min": 1, "max": 128, "pattern": "[a-zA-Z0-9_.-]+"},
    "SubscribeToShardInput": {"type": "structure", "required": ("ConsumerARN", "ShardId",
        "StartingPosition"), "members": {"ConsumerARN": "ConsumerARN", "StreamId": "StreamId", "ShardId":
        "ShardId", "StartingPosition": "StartingPosition", "DryRun": "BooleanObject"}},
    "TableBucketARN": {"type": "string", "min": 1, "max": 2048, "pattern":
        "arn:aws[-a-z0-9]*:s3tables:[-a-z0-9]+:\\d{12}:bucket/[a-z0-9_-]{3,63}"},
    "TagKey": {"type": "string", "min": 1, "max": 128},
    "TagKeyList": {"type": "list", "min": 1, "max": 50, "member": "TagKey"},
    "TagMap": {"type": "map", "min": 1, "max": 200, "key": "TagKey", "value": "TagValue"},
    "TagResourceInput": {"type": "structure", "required": ("Tags", "ResourceARN"), "members": {"Tags":
        "TagMap", "ResourceARN": "ResourceARN", "StreamId": "StreamId"}},
    "TagValue": {"type": "string", "min": 0, "max": 256},
    "TargetType": {"type": "string", "enum": ("BUILT_IN", "NONE")},
    "Timestamp": {"type": "timestamp"},
    "UntagResourceInput": {"type": "structure", "required": ("TagKeys", "ResourceARN"), "members":
        {"TagKeys": "TagKeyList", "ResourceARN": "ResourceARN", "StreamId": "StreamId"}},
    "UpdateAccountSettingsInput": {"type": "structure", "required": ("MinimumThroughputBillingCommitment",),
        "members": {"MinimumThroughputBillingCommitment": "MinimumThroughputBillingCommitmentInput"}},
    "UpdateChannelInput": {"type": "structure", "required": ("ChannelARN",), "members": {"ChannelARN":
        "ChannelARN", "S3DestinationConfiguration": "S3DestinationUpdateInput",
        "S3TablesDestinationConfiguration": "S3TablesDestinationUpdateInput", "LoggingConfiguration":
        "ChannelLoggingUpdateInput"}},
    "UpdateDeadLetterQueueRecordsVisibilityInput": {"type": "structure", "required": ("QueueARN",
        "Entries"), "members": {"QueueARN": "QueueARN", "Entries":
        "UpdateDeadLetterQueueRecordsVisibilityRequestEntryList"}},
    "UpdateDeadLetterQueueRecordsVisibilityRequestEntry": {"type": "structure", "required":
        ("ReceiptHandle", "VisibilityTimeoutSeconds"), "members": {"ReceiptHandle": "ReceiptHandle",
        "VisibilityTimeoutSeconds": "VisibilityTimeoutSeconds"}},
    "UpdateDeadLetterQueueRecordsVisibilityRequestEntryList": {"type": "list", "min": 1, "max": 10,
        "member": "UpdateDeadLetterQueueRecordsVisibilityRequestEntry"},
    "UpdateMaxRecordSizeInput": {"type": "structure", "required": ("MaxRecordSizeInKiB",), "members":
        {"StreamARN": "StreamARN", "StreamId": "StreamId", "MaxRecordSizeInKiB": "MaxRecordSizeInKiB"}},
    "UpdateQueueInput": {"type": "structure", "required": ("QueueARN", "QueueAttributes"), "members":
        {"QueueARN": "QueueARN", "QueueAttributes": "QueueAttributes"}},
    "UpdateQueueRecordsVisibilityInput": {"type": "structure", "required": ("QueueARN", "Entries"),
        "members": {"QueueARN": "QueueARN", "Entries": "UpdateQueueRecordsVisibilityRequestEntryList"}},
    "UpdateQueueRecordsVisibilityRequestEntry": {"type": "structure", "required": ("ReceiptHandle",
        "VisibilityTimeoutSeconds"), "members": {"ReceiptHandle": "ReceiptHandle",
        "VisibilityTimeoutSeconds": "VisibilityTimeoutSeconds"}},
    "UpdateQueueRecordsVisibilityRequestEntryList": {"type": "list", "min": 1, "max": 10, "member":
        "UpdateQueueRecordsVisibilityRequestEntry"},
    "UpdateShardCountInput": {"type": "structure", "required": ("TargetShardCount", "ScalingType"),
        "members": {"StreamName": "StreamName", "TargetShardCount": "PositiveIntegerObject", "ScalingType":
        "ScalingType", "StreamARN": "StreamARN", "StreamId": "StreamId"}},
    "UpdateStreamModeInput": {"type": "structure", "required": ("StreamARN", "StreamModeDetails"),
        "members": {"StreamARN": "StreamARN", "StreamId": "StreamId", "StreamModeDetails":
        "StreamModeDetails", "WarmThroughputMiBps": "NaturalIntegerObject"}},
    "UpdateStreamRecordDistributionStrategyInput": {"type": "structure", "required": ("StreamARN",
        "RecordDistributionStrategy"), "members": {"StreamARN": "StreamARN", "StreamId": "StreamId",
        "RecordDistributionStrategy": "RecordDistributionStrategy"}},
    "UpdateStreamWarmThroughputInput": {"type": "structure", "required": ("WarmThroughputMiBps",),
        "members": {"StreamARN": "StreamARN", "StreamName": "StreamName", "StreamId": "StreamId",
        "WarmThroughputMiBps": "NaturalIntegerObject"}},
    "VisibilityTimeoutSeconds": {"type": "integer", "min": 0, "max": 43200},
}
