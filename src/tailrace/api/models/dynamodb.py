"""Amazon DynamoDB as botocore 1.44.5 knows it: 62 operations, 296 shapes of their requests.

Rules of this file: data, made by `python -m tests.generated.shapes`; a test compares it with the model. Read by
`api.inputs`, which lays `api.overrides` over it. Stands alone as the model of every service does.
"""

from tailrace.api.models import Operations, Shapes

# fmt: off
API_VERSION = "2012-08-10"
NAMESPACE = ""
OPERATIONS: Operations = {
    "BatchExecuteStatement": {"method": "POST", "path": "/", "status": 200, "input":
        "BatchExecuteStatementInput"},
    "BatchGetItem": {"method": "POST", "path": "/", "status": 200, "input": "BatchGetItemInput"},
    "BatchWriteItem": {"method": "POST", "path": "/", "status": 200, "input": "BatchWriteItemInput"},
    "CancelBulkOperation": {"method": "POST", "path": "/", "status": 200, "input":
        "CancelBulkOperationInput"},
    "CreateBackup": {"method": "POST", "path": "/", "status": 200, "input": "CreateBackupInput"},
    "CreateGlobalTable": {"method": "POST", "path": "/", "status": 200, "input": "CreateGlobalTableInput"},
    "CreateTable": {"method": "POST", "path": "/", "status": 200, "input": "CreateTableInput"},
    "DeleteBackup": {"method": "POST", "path": "/", "status": 200, "input": "DeleteBackupInput"},
    "DeleteItem": {"method": "POST", "path": "/", "status": 200, "input": "DeleteItemInput"},
    "DeleteResourcePolicy": {"method": "POST", "path": "/", "status": 200, "input":
        "DeleteResourcePolicyInput"},
    "DeleteTable": {"method": "POST", "path": "/", "status": 200, "input": "DeleteTableInput"},
    "DescribeBackup": {"method": "POST", "path": "/", "status": 200, "input": "DescribeBackupInput"},
    "DescribeBulkOperation": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeBulkOperationInput"},
    "DescribeContinuousBackups": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeContinuousBackupsInput"},
    "DescribeContributorInsights": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeContributorInsightsInput"},
    "DescribeEndpoints": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeEndpointsRequest"},
    "DescribeExport": {"method": "POST", "path": "/", "status": 200, "input": "DescribeExportInput"},
    "DescribeGlobalTable": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeGlobalTableInput"},
    "DescribeGlobalTableSettings": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeGlobalTableSettingsInput"},
    "DescribeImport": {"method": "POST", "path": "/", "status": 200, "input": "DescribeImportInput"},
    "DescribeKinesisStreamingDestination": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeKinesisStreamingDestinationInput"},
    "DescribeLimits": {"method": "POST", "path": "/", "status": 200, "input": "DescribeLimitsInput"},
    "DescribeTable": {"method": "POST", "path": "/", "status": 200, "input": "DescribeTableInput"},
    "DescribeTableReplicaAutoScaling": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeTableReplicaAutoScalingInput"},
    "DescribeTimeToLive": {"method": "POST", "path": "/", "status": 200, "input":
        "DescribeTimeToLiveInput"},
    "DisableKinesisStreamingDestination": {"method": "POST", "path": "/", "status": 200, "input":
        "KinesisStreamingDestinationInput"},
    "EnableKinesisStreamingDestination": {"method": "POST", "path": "/", "status": 200, "input":
        "KinesisStreamingDestinationInput"},
    "ExecuteStatement": {"method": "POST", "path": "/", "status": 200, "input": "ExecuteStatementInput"},
    "ExecuteTransaction": {"method": "POST", "path": "/", "status": 200, "input":
        "ExecuteTransactionInput"},
    "ExportTableToPointInTime": {"method": "POST", "path": "/", "status": 200, "input":
        "ExportTableToPointInTimeInput"},
    "GetItem": {"method": "POST", "path": "/", "status": 200, "input": "GetItemInput"},
    "GetResourcePolicy": {"method": "POST", "path": "/", "status": 200, "input": "GetResourcePolicyInput"},
    "ImportTable": {"method": "POST", "path": "/", "status": 200, "input": "ImportTableInput"},
    "ListBackups": {"method": "POST", "path": "/", "status": 200, "input": "ListBackupsInput"},
    "ListBulkOperations": {"method": "POST", "path": "/", "status": 200, "input":
        "ListBulkOperationsInput"},
    "ListContributorInsights": {"method": "POST", "path": "/", "status": 200, "input":
        "ListContributorInsightsInput"},
    "ListExports": {"method": "POST", "path": "/", "status": 200, "input": "ListExportsInput"},
    "ListGlobalTables": {"method": "POST", "path": "/", "status": 200, "input": "ListGlobalTablesInput"},
    "ListImports": {"method": "POST", "path": "/", "status": 200, "input": "ListImportsInput"},
    "ListTables": {"method": "POST", "path": "/", "status": 200, "input": "ListTablesInput"},
    "ListTagsOfResource": {"method": "POST", "path": "/", "status": 200, "input":
        "ListTagsOfResourceInput"},
    "PutItem": {"method": "POST", "path": "/", "status": 200, "input": "PutItemInput"},
    "PutResourcePolicy": {"method": "POST", "path": "/", "status": 200, "input": "PutResourcePolicyInput"},
    "Query": {"method": "POST", "path": "/", "status": 200, "input": "QueryInput"},
    "RestoreTableFromBackup": {"method": "POST", "path": "/", "status": 200, "input":
        "RestoreTableFromBackupInput"},
    "RestoreTableToPointInTime": {"method": "POST", "path": "/", "status": 200, "input":
        "RestoreTableToPointInTimeInput"},
    "Scan": {"method": "POST", "path": "/", "status": 200, "input": "ScanInput"},
    "SearchVectors": {"method": "POST", "path": "/", "status": 200, "input": "SearchVectorsInput"},
    "StartBulkPutItems": {"method": "POST", "path": "/", "status": 200, "input": "StartBulkPutItemsInput"},
    "TagResource": {"method": "POST", "path": "/", "status": 200, "input": "TagResourceInput"},
    "TransactGetItems": {"method": "POST", "path": "/", "status": 200, "input": "TransactGetItemsInput"},
    "TransactWriteItems": {"method": "POST", "path": "/", "status": 200, "input":
        "TransactWriteItemsInput"},
    "UntagResource": {"method": "POST", "path": "/", "status": 200, "input": "UntagResourceInput"},
    "UpdateContinuousBackups": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateContinuousBackupsInput"},
    "UpdateContributorInsights": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateContributorInsightsInput"},
    "UpdateGlobalTable": {"method": "POST", "path": "/", "status": 200, "input": "UpdateGlobalTableInput"},
    "UpdateGlobalTableSettings": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateGlobalTableSettingsInput"},
    "UpdateItem": {"method": "POST", "path": "/", "status": 200, "input": "UpdateItemInput"},
    "UpdateKinesisStreamingDestination": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateKinesisStreamingDestinationInput"},
    "UpdateTable": {"method": "POST", "path": "/", "status": 200, "input": "UpdateTableInput"},
    "UpdateTableReplicaAutoScaling": {"method": "POST", "path": "/", "status": 200, "input":
        "UpdateTableReplicaAutoScalingInput"},
    "UpdateTimeToLive": {"method": "POST", "path": "/", "status": 200, "input": "UpdateTimeToLiveInput"},
}
SHAPES: Shapes = {
    "ApproximateCreationDateTimePrecision": {"type": "string", "enum": ("MILLISECOND", "MICROSECOND")},
    "AttributeAction": {"type": "string", "enum": ("ADD", "PUT", "DELETE")},
    "AttributeDefinition": {"type": "structure", "required": ("AttributeName", "AttributeType"), "members":
        {"AttributeName": "KeySchemaAttributeName", "AttributeType": "ScalarAttributeType"}},
    "AttributeDefinitions": {"type": "list", "member": "AttributeDefinition"},
    "AttributeName": {"type": "string", "max": 65535},
    "AttributeNameList": {"type": "list", "min": 1, "member": "AttributeName"},
    "AttributeUpdates": {"type": "map", "key": "AttributeName", "value": "AttributeValueUpdate"},
    "AttributeValue": {"type": "structure", "members": {"S": "StringAttributeValue", "N":
        "NumberAttributeValue", "B": "BinaryAttributeValue", "SS": "StringSetAttributeValue", "NS":
        "NumberSetAttributeValue", "BS": "BinarySetAttributeValue", "M": "MapAttributeValue", "L":
        "ListAttributeValue", "NULL": "NullAttributeValue", "BOOL": "BooleanAttributeValue"}},
    "AttributeValueList": {"type": "list", "member": "AttributeValue"},
    "AttributeValueUpdate": {"type": "structure", "members": {"Value": "AttributeValue", "Action":
        "AttributeAction"}},
    "AutoScalingPolicyName": {"type": "string", "min": 1, "max": 256, "pattern": "\\p{Print}+"},
    "AutoScalingPolicyUpdate": {"type": "structure", "required":
        ("TargetTrackingScalingPolicyConfiguration",), "members": {"PolicyName": "AutoScalingPolicyName",
        "TargetTrackingScalingPolicyConfiguration":
        "AutoScalingTargetTrackingScalingPolicyConfigurationUpdate"}},
    "AutoScalingRoleArn": {"type": "string", "min": 1, "max": 1600, "pattern":
        "[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\r\\n\\t]*"},
    "AutoScalingSettingsUpdate": {"type": "structure", "members": {"MinimumUnits": "PositiveLongObject",
        "MaximumUnits": "PositiveLongObject", "AutoScalingDisabled": "BooleanObject", "AutoScalingRoleArn":
        "AutoScalingRoleArn", "ScalingPolicyUpdate": "AutoScalingPolicyUpdate"}},
    "AutoScalingTargetTrackingScalingPolicyConfigurationUpdate": {"type": "structure", "required":
        ("TargetValue",), "members": {"DisableScaleIn": "BooleanObject", "ScaleInCooldown": "IntegerObject",
        "ScaleOutCooldown": "IntegerObject", "TargetValue": "DoubleObject"}},
    "BackupArn": {"type": "string", "min": 37, "max": 1024},
    "BackupName": {"type": "string", "min": 3, "max": 255, "pattern": "[a-zA-Z0-9_.-]+"},
    "BackupTypeFilter": {"type": "string", "enum": ("USER", "SYSTEM", "AWS_BACKUP", "ALL")},
    "BackupsInputLimit": {"type": "integer", "min": 1, "max": 100},
    "BatchExecuteStatementInput": {"type": "structure", "required": ("Statements",), "members":
        {"Statements": "PartiQLBatchRequest", "ReturnConsumedCapacity": "ReturnConsumedCapacity"}},
    "BatchGetItemInput": {"type": "structure", "required": ("RequestItems",), "members": {"RequestItems":
        "BatchGetRequestMap", "ReturnConsumedCapacity": "ReturnConsumedCapacity"}},
    "BatchGetRequestMap": {"type": "map", "min": 1, "max": 100, "key": "TableArn", "value":
        "KeysAndAttributes"},
    "BatchStatementRequest": {"type": "structure", "required": ("Statement",), "members": {"Statement":
        "PartiQLStatement", "Parameters": "PreparedStatementParameters", "ConsistentRead": "ConsistentRead",
        "ReturnValuesOnConditionCheckFailure": "ReturnValuesOnConditionCheckFailure"}},
    "BatchWriteItemInput": {"type": "structure", "required": ("RequestItems",), "members": {"RequestItems":
        "BatchWriteItemRequestMap", "ReturnConsumedCapacity": "ReturnConsumedCapacity",
        "ReturnItemCollectionMetrics": "ReturnItemCollectionMetrics"}},
    "BatchWriteItemRequestMap": {"type": "map", "min": 1, "max": 25, "key": "TableArn", "value":
        "WriteRequests"},
    "BillingMode": {"type": "string", "enum": ("PROVISIONED", "PAY_PER_REQUEST")},
    "BinaryAttributeValue": {"type": "blob"},
    "BinarySetAttributeValue": {"type": "list", "member": "BinaryAttributeValue"},
    "BooleanAttributeValue": {"type": "boolean"},
    "BooleanObject": {"type": "boolean"},
    "BulkOperationArn": {"type": "string", "min": 37, "max": 1024},
    "BulkOperationInputFormat": {"type": "string", "enum": ("DYNAMODB_JSON", "ION")},
    "BulkOperationMaxWriteRequestUnits": {"type": "long", "min": 1024},
    "BulkOperationNextToken": {"type": "string", "min": 1, "max": 1024, "pattern": "([0-9a-f]{16})+"},
    "BulkOperationPerformanceTier": {"type": "string", "enum": ("STANDARD", "ACCELERATED")},
    "CancelBulkOperationInput": {"type": "structure", "required": ("BulkOperationArn",), "members":
        {"BulkOperationArn": "BulkOperationArn"}},
    "ClientRequestToken": {"type": "string", "min": 1, "max": 36},
    "ClientToken": {"type": "string", "pattern": "^[^\\$]+$"},
    "ComparisonOperator": {"type": "string", "enum": ("EQ", "NE", "IN", "LE", "LT", "GE", "GT", "BETWEEN",
        "NOT_NULL", "NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH")},
    "Condition": {"type": "structure", "required": ("ComparisonOperator",), "members":
        {"AttributeValueList": "AttributeValueList", "ComparisonOperator": "ComparisonOperator"}},
    "ConditionCheck": {"type": "structure", "required": ("Key", "TableName", "ConditionExpression"),
        "members": {"Key": "Key", "TableName": "TableArn", "ConditionExpression": "ConditionExpression",
        "ExpressionAttributeNames": "ExpressionAttributeNameMap", "ExpressionAttributeValues":
        "ExpressionAttributeValueMap", "ReturnValuesOnConditionCheckFailure":
        "ReturnValuesOnConditionCheckFailure"}},
    "ConditionExpression": {"type": "string"},
    "ConditionalOperator": {"type": "string", "enum": ("AND", "OR")},
    "ConfirmRemoveSelfResourceAccess": {"type": "boolean"},
    "ConsistentRead": {"type": "boolean"},
    "ContributorInsightsAction": {"type": "string", "enum": ("ENABLE", "DISABLE")},
    "ContributorInsightsMode": {"type": "string", "enum": ("ACCESSED_AND_THROTTLED_KEYS",
        "THROTTLED_KEYS")},
    "CreateBackupInput": {"type": "structure", "required": ("TableName", "BackupName"), "members":
        {"TableName": "TableArn", "BackupName": "BackupName"}},
    "CreateGlobalSecondaryIndexAction": {"type": "structure", "required": ("IndexName", "KeySchema",
        "Projection"), "members": {"IndexName": "IndexName", "KeySchema": "KeySchema", "Projection":
        "Projection", "ProvisionedThroughput": "ProvisionedThroughput", "OnDemandThroughput":
        "OnDemandThroughput", "WarmThroughput": "WarmThroughput"}},
    "CreateGlobalTableInput": {"type": "structure", "required": ("GlobalTableName", "ReplicationGroup"),
        "members": {"GlobalTableName": "TableName", "ReplicationGroup": "ReplicaList"}},
    "CreateGlobalTableWitnessGroupMemberAction": {"type": "structure", "required": ("RegionName",),
        "members": {"RegionName": "RegionName"}},
    "CreateReplicaAction": {"type": "structure", "required": ("RegionName",), "members": {"RegionName":
        "RegionName"}},
    "CreateReplicationGroupMemberAction": {"type": "structure", "required": ("RegionName",), "members":
        {"RegionName": "RegionName", "KMSMasterKeyId": "KMSMasterKeyId", "ProvisionedThroughputOverride":
        "ProvisionedThroughputOverride", "OnDemandThroughputOverride": "OnDemandThroughputOverride",
        "GlobalSecondaryIndexes": "ReplicaGlobalSecondaryIndexList", "TableClassOverride": "TableClass"}},
    "CreateTableInput": {"type": "structure", "required": ("TableName",), "members":
        {"AttributeDefinitions": "AttributeDefinitions", "TableName": "TableArn", "KeySchema": "KeySchema",
        "LocalSecondaryIndexes": "LocalSecondaryIndexList", "GlobalSecondaryIndexes":
        "GlobalSecondaryIndexList", "BillingMode": "BillingMode", "ProvisionedThroughput":
        "ProvisionedThroughput", "StreamSpecification": "StreamSpecification", "SSESpecification":
        "SSESpecification", "Tags": "TagList", "TableClass": "TableClass", "DeletionProtectionEnabled":
        "DeletionProtectionEnabled", "WarmThroughput": "WarmThroughput", "ResourcePolicy": "ResourcePolicy",
        "OnDemandThroughput": "OnDemandThroughput", "GlobalTableSourceArn": "TableArn",
        "GlobalTableSettingsReplicationMode": "GlobalTableSettingsReplicationMode", "VectorIndexes":
        "VectorIndexList"}},
    "CreateVectorIndexAction": {"type": "structure", "required": ("IndexName", "VectorAttribute",
        "Projection", "Dimensions", "DistanceFunction"), "members": {"IndexName": "IndexName",
        "VectorAttribute": "VectorAttributeDefinition", "SearchSchema": "SearchSchema", "Projection":
        "Projection", "Dimensions": "PositiveLongObject", "DistanceFunction": "VectorDistanceFunction"}},
    "CsvDelimiter": {"type": "string", "min": 1, "max": 1, "pattern": "[,;:|\\t\x20]"},
    "CsvHeader": {"type": "string", "min": 1, "max": 65536, "pattern":
        "[\\x20-\\x21\\x23-\\x2B\\x2D-\\x7E]*"},
    "CsvHeaderList": {"type": "list", "min": 1, "max": 255, "member": "CsvHeader"},
    "CsvOptions": {"type": "structure", "members": {"Delimiter": "CsvDelimiter", "HeaderList":
        "CsvHeaderList"}},
    "Date": {"type": "timestamp"},
    "Delete": {"type": "structure", "required": ("Key", "TableName"), "members": {"Key": "Key", "TableName":
        "TableArn", "ConditionExpression": "ConditionExpression", "ExpressionAttributeNames":
        "ExpressionAttributeNameMap", "ExpressionAttributeValues": "ExpressionAttributeValueMap",
        "ReturnValuesOnConditionCheckFailure": "ReturnValuesOnConditionCheckFailure"}},
    "DeleteBackupInput": {"type": "structure", "required": ("BackupArn",), "members": {"BackupArn":
        "BackupArn"}},
    "DeleteGlobalSecondaryIndexAction": {"type": "structure", "required": ("IndexName",), "members":
        {"IndexName": "IndexName"}},
    "DeleteGlobalTableWitnessGroupMemberAction": {"type": "structure", "required": ("RegionName",),
        "members": {"RegionName": "RegionName"}},
    "DeleteItemInput": {"type": "structure", "required": ("TableName", "Key"), "members": {"TableName":
        "TableArn", "Key": "Key", "Expected": "ExpectedAttributeMap", "ConditionalOperator":
        "ConditionalOperator", "ReturnValues": "ReturnValue", "ReturnConsumedCapacity":
        "ReturnConsumedCapacity", "ReturnItemCollectionMetrics": "ReturnItemCollectionMetrics",
        "ConditionExpression": "ConditionExpression", "ExpressionAttributeNames":
        "ExpressionAttributeNameMap", "ExpressionAttributeValues": "ExpressionAttributeValueMap",
        "ReturnValuesOnConditionCheckFailure": "ReturnValuesOnConditionCheckFailure"}},
    "DeleteReplicaAction": {"type": "structure", "required": ("RegionName",), "members": {"RegionName":
        "RegionName"}},
    "DeleteReplicationGroupMemberAction": {"type": "structure", "required": ("RegionName",), "members":
        {"RegionName": "RegionName"}},
    "DeleteRequest": {"type": "structure", "required": ("Key",), "members": {"Key": "Key"}},
    "DeleteResourcePolicyInput": {"type": "structure", "required": ("ResourceArn",), "members":
        {"ResourceArn": "ResourceArnString", "ExpectedRevisionId": "PolicyRevisionId"}},
    "DeleteTableInput": {"type": "structure", "required": ("TableName",), "members": {"TableName":
        "TableArn"}},
    "DeleteVectorIndexAction": {"type": "structure", "required": ("IndexName",), "members": {"IndexName":
        "IndexName"}},
    "DeletionProtectionEnabled": {"type": "boolean"},
    "DescribeBackupInput": {"type": "structure", "required": ("BackupArn",), "members": {"BackupArn":
        "BackupArn"}},
    "DescribeBulkOperationInput": {"type": "structure", "required": ("BulkOperationArn",), "members":
        {"BulkOperationArn": "BulkOperationArn"}},
    "DescribeContinuousBackupsInput": {"type": "structure", "required": ("TableName",), "members":
        {"TableName": "TableArn"}},
    "DescribeContributorInsightsInput": {"type": "structure", "required": ("TableName",), "members":
        {"TableName": "TableArn", "IndexName": "IndexName"}},
    "DescribeEndpointsRequest": {"type": "structure", "members": {}},
    "DescribeExportInput": {"type": "structure", "required": ("ExportArn",), "members": {"ExportArn":
        "ExportArn"}},
    "DescribeGlobalTableInput": {"type": "structure", "required": ("GlobalTableName",), "members":
        {"GlobalTableName": "TableName"}},
    "DescribeGlobalTableSettingsInput": {"type": "structure", "required": ("GlobalTableName",), "members":
        {"GlobalTableName": "TableName"}},
    "DescribeImportInput": {"type": "structure", "required": ("ImportArn",), "members": {"ImportArn":
        "ImportArn"}},
    "DescribeKinesisStreamingDestinationInput": {"type": "structure", "required": ("TableName",), "members":
        {"TableName": "TableArn"}},
    "DescribeLimitsInput": {"type": "structure", "members": {}},
    "DescribeTableInput": {"type": "structure", "required": ("TableName",), "members": {"TableName":
        "TableArn"}},
    "DescribeTableReplicaAutoScalingInput": {"type": "structure", "required": ("TableName",), "members":
        {"TableName": "TableArn"}},
    "DescribeTimeToLiveInput": {"type": "structure", "required": ("TableName",), "members": {"TableName":
        "TableArn"}},
    "DisassociateReplicationGroupMemberAction": {"type": "structure", "required": ("RegionName",
        "DisassociationMode"), "members": {"RegionName": "RegionName", "DisassociationMode":
        "DisassociationMode"}},
    "DisassociationMode": {"type": "string", "enum": ("WAIT_FOR_REPLICATION",)},
    "DisassociationProtectionEnabled": {"type": "boolean"},
    "DoubleObject": {"type": "double"},
    "EnableKinesisStreamingConfiguration": {"type": "structure", "members":
        {"ApproximateCreationDateTimePrecision": "ApproximateCreationDateTimePrecision"}},
    "ExecuteStatementInput": {"type": "structure", "required": ("Statement",), "members": {"Statement":
        "PartiQLStatement", "Parameters": "PreparedStatementParameters", "ConsistentRead": "ConsistentRead",
        "NextToken": "PartiQLNextToken", "ReturnConsumedCapacity": "ReturnConsumedCapacity", "Limit":
        "PositiveIntegerObject", "ReturnValuesOnConditionCheckFailure":
        "ReturnValuesOnConditionCheckFailure"}},
    "ExecuteTransactionInput": {"type": "structure", "required": ("TransactStatements",), "members":
        {"TransactStatements": "ParameterizedStatements", "ClientRequestToken": "ClientRequestToken",
        "ReturnConsumedCapacity": "ReturnConsumedCapacity"}},
    "ExpectedAttributeMap": {"type": "map", "key": "AttributeName", "value": "ExpectedAttributeValue"},
    "ExpectedAttributeValue": {"type": "structure", "members": {"Value": "AttributeValue", "Exists":
        "BooleanObject", "ComparisonOperator": "ComparisonOperator", "AttributeValueList":
        "AttributeValueList"}},
    "ExportArn": {"type": "string", "min": 37, "max": 1024},
    "ExportFormat": {"type": "string", "enum": ("DYNAMODB_JSON", "ION")},
    "ExportFromTime": {"type": "timestamp"},
    "ExportNextToken": {"type": "string"},
    "ExportTableToPointInTimeInput": {"type": "structure", "required": ("TableArn", "S3Bucket"), "members":
        {"TableArn": "TableArn", "ExportTime": "ExportTime", "ClientToken": "ClientToken", "S3Bucket":
        "S3Bucket", "S3BucketOwner": "S3BucketOwner", "S3Prefix": "S3Prefix", "S3SseAlgorithm":
        "S3SseAlgorithm", "S3SseKmsKeyId": "S3SseKmsKeyId", "ExportFormat": "ExportFormat", "ExportType":
        "ExportType", "IncrementalExportSpecification": "IncrementalExportSpecification",
        "FilterSpecification": "FilterSpecification"}},
    "ExportTime": {"type": "timestamp"},
    "ExportToTime": {"type": "timestamp"},
    "ExportType": {"type": "string", "enum": ("FULL_EXPORT", "INCREMENTAL_EXPORT")},
    "ExportViewType": {"type": "string", "enum": ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")},
    "ExpressionAttributeNameMap": {"type": "map", "key": "ExpressionAttributeNameVariable", "value":
        "AttributeName"},
    "ExpressionAttributeNameVariable": {"type": "string"},
    "ExpressionAttributeValueMap": {"type": "map", "key": "ExpressionAttributeValueVariable", "value":
        "AttributeValue"},
    "ExpressionAttributeValueVariable": {"type": "string"},
    "FilterConditionMap": {"type": "map", "key": "AttributeName", "value": "Condition"},
    "FilterSpecification": {"type": "structure", "members": {"FilterExpression": "ConditionExpression",
        "ProjectionExpression": "ProjectionExpression", "KeyConditionExpression": "KeyExpression",
        "ExpressionAttributeNames": "ExpressionAttributeNameMap", "ExpressionAttributeValues":
        "ExpressionAttributeValueMap"}},
    "Get": {"type": "structure", "required": ("Key", "TableName"), "members": {"Key": "Key", "TableName":
        "TableArn", "ProjectionExpression": "ProjectionExpression", "ExpressionAttributeNames":
        "ExpressionAttributeNameMap"}},
    "GetItemInput": {"type": "structure", "required": ("TableName", "Key"), "members": {"TableName":
        "TableArn", "Key": "Key", "AttributesToGet": "AttributeNameList", "ConsistentRead":
        "ConsistentRead", "ReturnConsumedCapacity": "ReturnConsumedCapacity", "ProjectionExpression":
        "ProjectionExpression", "ExpressionAttributeNames": "ExpressionAttributeNameMap"}},
    "GetResourcePolicyInput": {"type": "structure", "required": ("ResourceArn",), "members": {"ResourceArn":
        "ResourceArnString"}},
    "GlobalSecondaryIndex": {"type": "structure", "required": ("IndexName", "KeySchema", "Projection"),
        "members": {"IndexName": "IndexName", "KeySchema": "KeySchema", "Projection": "Projection",
        "ProvisionedThroughput": "ProvisionedThroughput", "OnDemandThroughput": "OnDemandThroughput",
        "WarmThroughput": "WarmThroughput"}},
    "GlobalSecondaryIndexAutoScalingUpdate": {"type": "structure", "members": {"IndexName": "IndexName",
        "ProvisionedWriteCapacityAutoScalingUpdate": "AutoScalingSettingsUpdate"}},
    "GlobalSecondaryIndexAutoScalingUpdateList": {"type": "list", "min": 1, "member":
        "GlobalSecondaryIndexAutoScalingUpdate"},
    "GlobalSecondaryIndexList": {"type": "list", "member": "GlobalSecondaryIndex"},
    "GlobalSecondaryIndexUpdate": {"type": "structure", "members": {"Update":
        "UpdateGlobalSecondaryIndexAction", "Create": "CreateGlobalSecondaryIndexAction", "Delete":
        "DeleteGlobalSecondaryIndexAction"}},
    "GlobalSecondaryIndexUpdateList": {"type": "list", "member": "GlobalSecondaryIndexUpdate"},
    "GlobalTableGlobalSecondaryIndexSettingsUpdate": {"type": "structure", "required": ("IndexName",),
        "members": {"IndexName": "IndexName", "ProvisionedWriteCapacityUnits": "PositiveLongObject",
        "ProvisionedWriteCapacityAutoScalingSettingsUpdate": "AutoScalingSettingsUpdate"}},
    "GlobalTableGlobalSecondaryIndexSettingsUpdateList": {"type": "list", "min": 1, "max": 20, "member":
        "GlobalTableGlobalSecondaryIndexSettingsUpdate"},
    "GlobalTableSettingsReplicationMode": {"type": "string", "enum": ("ENABLED", "DISABLED",
        "ENABLED_WITH_OVERRIDES")},
    "GlobalTableWitnessGroupUpdate": {"type": "structure", "members": {"Create":
        "CreateGlobalTableWitnessGroupMemberAction", "Delete":
        "DeleteGlobalTableWitnessGroupMemberAction"}},
    "GlobalTableWitnessGroupUpdateList": {"type": "list", "min": 1, "max": 1, "member":
        "GlobalTableWitnessGroupUpdate"},
    "ImportArn": {"type": "string", "min": 37, "max": 1024},
    "ImportNextToken": {"type": "string", "min": 112, "max": 1024, "pattern": "([0-9a-f]{16})+"},
    "ImportTableInput": {"type": "structure", "required": ("S3BucketSource", "InputFormat",
        "TableCreationParameters"), "members": {"ClientToken": "ClientToken", "S3BucketSource":
        "S3BucketSource", "InputFormat": "InputFormat", "InputFormatOptions": "InputFormatOptions",
        "InputCompressionType": "InputCompressionType", "TableCreationParameters":
        "TableCreationParameters"}},
    "IncrementalExportSpecification": {"type": "structure", "members": {"ExportFromTime": "ExportFromTime",
        "ExportToTime": "ExportToTime", "ExportViewType": "ExportViewType"}},
    "IndexName": {"type": "string", "min": 3, "max": 255, "pattern": "[a-zA-Z0-9_.-]+"},
    "InputCompressionType": {"type": "string", "enum": ("GZIP", "ZSTD", "NONE")},
    "InputFormat": {"type": "string", "enum": ("DYNAMODB_JSON", "ION", "CSV")},
    "InputFormatOptions": {"type": "structure", "members": {"Csv": "CsvOptions"}},
    "InputS3Configuration": {"type": "structure", "required": ("S3Bucket", "InputFormat"), "members":
        {"S3BucketOwner": "S3BucketOwner", "S3Bucket": "S3Bucket", "S3KeyPrefix": "S3Prefix", "InputFormat":
        "BulkOperationInputFormat", "InputCompressionType": "InputCompressionType"}},
    "IntegerObject": {"type": "integer"},
    "KMSMasterKeyId": {"type": "string"},
    "Key": {"type": "map", "key": "AttributeName", "value": "AttributeValue"},
    "KeyConditions": {"type": "map", "key": "AttributeName", "value": "Condition"},
    "KeyExpression": {"type": "string"},
    "KeyList": {"type": "list", "min": 1, "max": 100, "member": "Key"},
    "KeySchema": {"type": "list", "min": 1, "member": "KeySchemaElement"},
    "KeySchemaAttributeName": {"type": "string", "min": 1, "max": 255},
    "KeySchemaElement": {"type": "structure", "required": ("AttributeName", "KeyType"), "members":
        {"AttributeName": "KeySchemaAttributeName", "KeyType": "KeyType"}},
    "KeyType": {"type": "string", "enum": ("HASH", "RANGE")},
    "KeysAndAttributes": {"type": "structure", "required": ("Keys",), "members": {"Keys": "KeyList",
        "AttributesToGet": "AttributeNameList", "ConsistentRead": "ConsistentRead", "ProjectionExpression":
        "ProjectionExpression", "ExpressionAttributeNames": "ExpressionAttributeNameMap"}},
    "KinesisStreamingDestinationInput": {"type": "structure", "required": ("TableName", "StreamArn"),
        "members": {"TableName": "TableArn", "StreamArn": "StreamArn",
        "EnableKinesisStreamingConfiguration": "EnableKinesisStreamingConfiguration"}},
    "ListAttributeValue": {"type": "list", "member": "AttributeValue"},
    "ListBackupsInput": {"type": "structure", "members": {"TableName": "TableArn", "Limit":
        "BackupsInputLimit", "TimeRangeLowerBound": "TimeRangeLowerBound", "TimeRangeUpperBound":
        "TimeRangeUpperBound", "ExclusiveStartBackupArn": "BackupArn", "BackupType": "BackupTypeFilter"}},
    "ListBulkOperationsInput": {"type": "structure", "members": {"MaxResults": "ListBulkOperationsMaxLimit",
        "NextToken": "BulkOperationNextToken"}},
    "ListBulkOperationsMaxLimit": {"type": "integer", "min": 1, "max": 25},
    "ListContributorInsightsInput": {"type": "structure", "members": {"TableName": "TableArn", "NextToken":
        "NextTokenString", "MaxResults": "ListContributorInsightsLimit"}},
    "ListContributorInsightsLimit": {"type": "integer", "max": 100},
    "ListExportsInput": {"type": "structure", "members": {"TableArn": "TableArn", "MaxResults":
        "ListExportsMaxLimit", "NextToken": "ExportNextToken"}},
    "ListExportsMaxLimit": {"type": "integer", "min": 1, "max": 25},
    "ListGlobalTablesInput": {"type": "structure", "members": {"ExclusiveStartGlobalTableName": "TableName",
        "Limit": "PositiveIntegerObject", "RegionName": "RegionName"}},
    "ListImportsInput": {"type": "structure", "members": {"TableArn": "TableArn", "PageSize":
        "ListImportsMaxLimit", "NextToken": "ImportNextToken"}},
    "ListImportsMaxLimit": {"type": "integer", "min": 1, "max": 25},
    "ListTablesInput": {"type": "structure", "members": {"ExclusiveStartTableName": "TableName", "Limit":
        "ListTablesInputLimit"}},
    "ListTablesInputLimit": {"type": "integer", "min": 1, "max": 100},
    "ListTagsOfResourceInput": {"type": "structure", "required": ("ResourceArn",), "members":
        {"ResourceArn": "ResourceArnString", "NextToken": "NextTokenString"}},
    "LocalSecondaryIndex": {"type": "structure", "required": ("IndexName", "KeySchema", "Projection"),
        "members": {"IndexName": "IndexName", "KeySchema": "KeySchema", "Projection": "Projection"}},
    "LocalSecondaryIndexList": {"type": "list", "member": "LocalSecondaryIndex"},
    "LongObject": {"type": "long"},
    "MapAttributeValue": {"type": "map", "key": "AttributeName", "value": "AttributeValue"},
    "MultiRegionConsistency": {"type": "string", "enum": ("EVENTUAL", "STRONG")},
    "NextTokenString": {"type": "string"},
    "NonKeyAttributeName": {"type": "string", "min": 1, "max": 255},
    "NonKeyAttributeNameList": {"type": "list", "min": 1, "max": 20, "member": "NonKeyAttributeName"},
    "NullAttributeValue": {"type": "boolean"},
    "NumberAttributeValue": {"type": "string"},
    "NumberSetAttributeValue": {"type": "list", "member": "NumberAttributeValue"},
    "OnDemandThroughput": {"type": "structure", "members": {"MaxReadRequestUnits": "LongObject",
        "MaxWriteRequestUnits": "LongObject"}},
    "OnDemandThroughputOverride": {"type": "structure", "members": {"MaxReadRequestUnits": "LongObject"}},
    "OutputS3Configuration": {"type": "structure", "required": ("OutputType",), "members": {"S3BucketOwner":
        "S3BucketOwner", "S3Bucket": "S3Bucket", "S3KeyPrefix": "S3Prefix", "S3SseAlgorithm":
        "S3SseAlgorithm", "S3SseKmsKeyId": "S3SseKmsKeyId", "OutputType": "OutputTypeList"}},
    "OutputTypeEnum": {"type": "string", "enum": ("ERROR", "CONDITION_CHECK_FAILURE")},
    "OutputTypeList": {"type": "list", "member": "OutputTypeEnum"},
    "ParameterizedStatement": {"type": "structure", "required": ("Statement",), "members": {"Statement":
        "PartiQLStatement", "Parameters": "PreparedStatementParameters",
        "ReturnValuesOnConditionCheckFailure": "ReturnValuesOnConditionCheckFailure"}},
    "ParameterizedStatements": {"type": "list", "min": 1, "max": 100, "member": "ParameterizedStatement"},
    "PartiQLBatchRequest": {"type": "list", "min": 1, "max": 25, "member": "BatchStatementRequest"},
    "PartiQLNextToken": {"type": "string", "min": 1, "max": 32768},
    "PartiQLStatement": {"type": "string", "min": 1, "max": 8192},
    "PointInTimeRecoverySpecification": {"type": "structure", "required": ("PointInTimeRecoveryEnabled",),
        "members": {"PointInTimeRecoveryEnabled": "BooleanObject", "RecoveryPeriodInDays":
        "RecoveryPeriodInDays"}},
    "PolicyRevisionId": {"type": "string", "min": 1, "max": 255},
    "PositiveIntegerObject": {"type": "integer", "min": 1},
    "PositiveLongObject": {"type": "long", "min": 1},
    "PreparedStatementParameters": {"type": "list", "min": 1, "member": "AttributeValue"},
    "Projection": {"type": "structure", "members": {"ProjectionType": "ProjectionType", "NonKeyAttributes":
        "NonKeyAttributeNameList"}},
    "ProjectionExpression": {"type": "string"},
    "ProjectionType": {"type": "string", "enum": ("ALL", "KEYS_ONLY", "INCLUDE")},
    "ProvisionedThroughput": {"type": "structure", "required": ("ReadCapacityUnits", "WriteCapacityUnits"),
        "members": {"ReadCapacityUnits": "PositiveLongObject", "WriteCapacityUnits": "PositiveLongObject"}},
    "ProvisionedThroughputOverride": {"type": "structure", "members": {"ReadCapacityUnits":
        "PositiveLongObject"}},
    "Put": {"type": "structure", "required": ("Item", "TableName"), "members": {"Item":
        "PutItemInputAttributeMap", "TableName": "TableArn", "ConditionExpression": "ConditionExpression",
        "ExpressionAttributeNames": "ExpressionAttributeNameMap", "ExpressionAttributeValues":
        "ExpressionAttributeValueMap", "ReturnValuesOnConditionCheckFailure":
        "ReturnValuesOnConditionCheckFailure"}},
    "PutItemInput": {"type": "structure", "required": ("TableName", "Item"), "members": {"TableName":
        "TableArn", "Item": "PutItemInputAttributeMap", "Expected": "ExpectedAttributeMap", "ReturnValues":
        "ReturnValue", "ReturnConsumedCapacity": "ReturnConsumedCapacity", "ReturnItemCollectionMetrics":
        "ReturnItemCollectionMetrics", "ConditionalOperator": "ConditionalOperator", "ConditionExpression":
        "ConditionExpression", "ExpressionAttributeNames": "ExpressionAttributeNameMap",
        "ExpressionAttributeValues": "ExpressionAttributeValueMap", "ReturnValuesOnConditionCheckFailure":
        "ReturnValuesOnConditionCheckFailure"}},
    "PutItemInputAttributeMap": {"type": "map", "key": "AttributeName", "value": "AttributeValue"},
    "PutRequest": {"type": "structure", "required": ("Item",), "members": {"Item":
        "PutItemInputAttributeMap"}},
    "PutResourcePolicyInput": {"type": "structure", "required": ("ResourceArn", "Policy"), "members":
        {"ResourceArn": "ResourceArnString", "Policy": "ResourcePolicy", "ExpectedRevisionId":
        "PolicyRevisionId", "ConfirmRemoveSelfResourceAccess": "ConfirmRemoveSelfResourceAccess"}},
    "QueryInput": {"type": "structure", "required": ("TableName",), "members": {"TableName": "TableArn",
        "IndexName": "IndexName", "Select": "Select", "AttributesToGet": "AttributeNameList", "Limit":
        "PositiveIntegerObject", "ConsistentRead": "ConsistentRead", "KeyConditions": "KeyConditions",
        "QueryFilter": "FilterConditionMap", "ConditionalOperator": "ConditionalOperator",
        "ScanIndexForward": "BooleanObject", "ExclusiveStartKey": "Key", "ReturnConsumedCapacity":
        "ReturnConsumedCapacity", "ProjectionExpression": "ProjectionExpression", "FilterExpression":
        "ConditionExpression", "KeyConditionExpression": "KeyExpression", "ExpressionAttributeNames":
        "ExpressionAttributeNameMap", "ExpressionAttributeValues": "ExpressionAttributeValueMap"}},
    "RecoveryPeriodInDays": {"type": "integer", "min": 1, "max": 35},
    "RegionName": {"type": "string"},
    "Replica": {"type": "structure", "members": {"RegionName": "RegionName"}},
    "ReplicaAutoScalingUpdate": {"type": "structure", "required": ("RegionName",), "members": {"RegionName":
        "RegionName", "ReplicaGlobalSecondaryIndexUpdates":
        "ReplicaGlobalSecondaryIndexAutoScalingUpdateList",
        "ReplicaProvisionedReadCapacityAutoScalingUpdate": "AutoScalingSettingsUpdate"}},
    "ReplicaAutoScalingUpdateList": {"type": "list", "min": 1, "member": "ReplicaAutoScalingUpdate"},
    "ReplicaGlobalSecondaryIndex": {"type": "structure", "required": ("IndexName",), "members":
        {"IndexName": "IndexName", "ProvisionedThroughputOverride": "ProvisionedThroughputOverride",
        "OnDemandThroughputOverride": "OnDemandThroughputOverride"}},
    "ReplicaGlobalSecondaryIndexAutoScalingUpdate": {"type": "structure", "members": {"IndexName":
        "IndexName", "ProvisionedReadCapacityAutoScalingUpdate": "AutoScalingSettingsUpdate"}},
    "ReplicaGlobalSecondaryIndexAutoScalingUpdateList": {"type": "list", "member":
        "ReplicaGlobalSecondaryIndexAutoScalingUpdate"},
    "ReplicaGlobalSecondaryIndexList": {"type": "list", "min": 1, "member": "ReplicaGlobalSecondaryIndex"},
    "ReplicaGlobalSecondaryIndexSettingsUpdate": {"type": "structure", "required": ("IndexName",),
        "members": {"IndexName": "IndexName", "ProvisionedReadCapacityUnits": "PositiveLongObject",
        "ProvisionedReadCapacityAutoScalingSettingsUpdate": "AutoScalingSettingsUpdate"}},
    "ReplicaGlobalSecondaryIndexSettingsUpdateList": {"type": "list", "min": 1, "max": 20, "member":
        "ReplicaGlobalSecondaryIndexSettingsUpdate"},
    "ReplicaList": {"type": "list", "member": "Replica"},
    "ReplicaSettingsUpdate": {"type": "structure", "required": ("RegionName",), "members": {"RegionName":
        "RegionName", "ReplicaProvisionedReadCapacityUnits": "PositiveLongObject",
        "ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate": "AutoScalingSettingsUpdate",
        "ReplicaGlobalSecondaryIndexSettingsUpdate": "ReplicaGlobalSecondaryIndexSettingsUpdateList",
        "ReplicaTableClass": "TableClass"}},
    "ReplicaSettingsUpdateList": {"type": "list", "min": 1, "max": 50, "member": "ReplicaSettingsUpdate"},
    "ReplicaUpdate": {"type": "structure", "members": {"Create": "CreateReplicaAction", "Delete":
        "DeleteReplicaAction"}},
    "ReplicaUpdateList": {"type": "list", "member": "ReplicaUpdate"},
    "ReplicationGroupUpdate": {"type": "structure", "members": {"Create":
        "CreateReplicationGroupMemberAction", "Update": "UpdateReplicationGroupMemberAction", "Delete":
        "DeleteReplicationGroupMemberAction", "Disassociate": "DisassociateReplicationGroupMemberAction"}},
    "ReplicationGroupUpdateList": {"type": "list", "min": 1, "member": "ReplicationGroupUpdate"},
    "ResourceArnString": {"type": "string", "min": 1, "max": 1283},
    "ResourcePolicy": {"type": "string"},
    "RestoreTableFromBackupInput": {"type": "structure", "required": ("TargetTableName", "BackupArn"),
        "members": {"TargetTableName": "TableName", "BackupArn": "BackupArn", "BillingModeOverride":
        "BillingMode", "GlobalSecondaryIndexOverride": "GlobalSecondaryIndexList",
        "LocalSecondaryIndexOverride": "LocalSecondaryIndexList", "ProvisionedThroughputOverride":
        "ProvisionedThroughput", "OnDemandThroughputOverride": "OnDemandThroughput",
        "SSESpecificationOverride": "SSESpecification", "VectorIndexOverride": "VectorIndexList"}},
    "RestoreTableToPointInTimeInput": {"type": "structure", "required": ("TargetTableName",), "members":
        {"SourceTableArn": "TableArn", "SourceTableName": "TableName", "TargetTableName": "TableName",
        "UseLatestRestorableTime": "BooleanObject", "RestoreDateTime": "Date", "BillingModeOverride":
        "BillingMode", "GlobalSecondaryIndexOverride": "GlobalSecondaryIndexList",
        "LocalSecondaryIndexOverride": "LocalSecondaryIndexList", "ProvisionedThroughputOverride":
        "ProvisionedThroughput", "OnDemandThroughputOverride": "OnDemandThroughput",
        "SSESpecificationOverride": "SSESpecification", "VectorIndexOverride": "VectorIndexList"}},
    "ReturnConsumedCapacity": {"type": "string", "enum": ("INDEXES", "TOTAL", "NONE")},
    "ReturnItemCollectionMetrics": {"type": "string", "enum": ("SIZE", "NONE")},
    "ReturnValue": {"type": "string", "enum": ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")},
    "ReturnValuesOnConditionCheckFailure": {"type": "string", "enum": ("ALL_OLD", "NONE")},
    "S3Bucket": {"type": "string", "max": 255, "pattern": "^[a-z0-9A-Z]+[\\.\\-\\w]*[a-z0-9A-Z]+$"},
    "S3BucketOwner": {"type": "string", "pattern": "[0-9]{12}"},
    "S3BucketSource": {"type": "structure", "required": ("S3Bucket",), "members": {"S3BucketOwner":
        "S3BucketOwner", "S3Bucket": "S3Bucket", "S3KeyPrefix": "S3Prefix"}},
    "S3Prefix": {"type": "string", "max": 1024},
    "S3SseAlgorithm": {"type": "string", "enum": ("AES256", "KMS")},
    "S3SseKmsKeyId": {"type": "string", "min": 1, "max": 2048},
    "SSEEnabled": {"type": "boolean"},
    "SSESpecification": {"type": "structure", "members": {"Enabled": "SSEEnabled", "SSEType": "SSEType",
        "KMSMasterKeyId": "KMSMasterKeyId"}},
    "SSEType": {"type": "string", "enum": ("AES256", "KMS")},
    "ScalarAttributeType": {"type": "string", "enum": ("S", "N", "B")},
    "ScanInput": {"type": "structure", "required": ("TableName",), "members": {"TableName": "TableArn",
        "IndexName": "IndexName", "AttributesToGet": "AttributeNameList", "Limit": "PositiveIntegerObject",
        "Select": "Select", "ScanFilter": "FilterConditionMap", "ConditionalOperator":
        "ConditionalOperator", "ExclusiveStartKey": "Key", "ReturnConsumedCapacity":
        "ReturnConsumedCapacity", "TotalSegments": "ScanTotalSegments", "Segment": "ScanSegment",
        "ProjectionExpression": "ProjectionExpression", "FilterExpression": "ConditionExpression",
        "ExpressionAttributeNames": "ExpressionAttributeNameMap", "ExpressionAttributeValues":
        "ExpressionAttributeValueMap", "ConsistentRead": "ConsistentRead"}},
    "ScanSegment": {"type": "integer", "min": 0, "max": 999999},
    "ScanTotalSegments": {"type": "integer", "min": 1, "max": 1000000},
    "SearchSchema": {"type": "list", "min": 1, "member": "SearchSchemaElement"},
    "SearchSchemaElement": {"type": "structure", "required": ("AttributeName", "SearchSchemaElementType"),
        "members": {"AttributeName": "AttributeName", "SearchSchemaElementType":
        "SearchSchemaElementType"}},
    "SearchSchemaElementType": {"type": "string", "enum": ("HASH", "INLINE_FILTER")},
    "SearchVectorList": {"type": "list", "min": 1, "max": 4096, "member": "AttributeValue"},
    "SearchVectorsInput": {"type": "structure", "required": ("TableName", "IndexName", "SearchVector",
        "TopK"), "members": {"TableName": "TableArn", "IndexName": "IndexName", "ReturnConsumedCapacity":
        "ReturnConsumedCapacity", "ExpressionAttributeNames": "ExpressionAttributeNameMap",
        "ExpressionAttributeValues": "ExpressionAttributeValueMap", "ProjectionExpression":
        "ProjectionExpression", "SearchVector": "SearchVectorList", "SearchConditionExpression": "String",
        "TopK": "TopKInteger"}},
    "Select": {"type": "string", "enum": ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES",
        "SPECIFIC_ATTRIBUTES", "COUNT")},
    "StartBulkPutItemsInput": {"type": "structure", "required": ("InputS3Configuration",
        "OutputS3Configuration", "TableName"), "members": {"ClientToken": "ClientToken",
        "InputS3Configuration": "InputS3Configuration", "OutputS3Configuration": "OutputS3Configuration",
        "TableName": "TableArn", "MaxWriteRequestUnits": "BulkOperationMaxWriteRequestUnits",
        "PerformanceTier": "BulkOperationPerformanceTier"}},
    "StreamArn": {"type": "string", "min": 37, "max": 1024},
    "StreamEnabled": {"type": "boolean"},
    "StreamSpecification": {"type": "structure", "required": ("StreamEnabled",), "members":
        {"StreamEnabled": "StreamEnabled", "StreamViewType": "StreamViewType"}},
    "StreamViewType": {"type": "string", "enum": ("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES",
        "KEYS_ONLY")},
    "String": {"type": "string"},
    "StringAttributeValue": {"type": "string"},
    "StringSetAttributeValue": {"type": "list", "member": "StringAttributeValue"},
    "TableArn": {"type": "string", "min": 1, "max": 1024},
    "TableClass": {"type": "string", "enum": ("STANDARD", "STANDARD_INFREQUENT_ACCESS")},
    "TableCreationParameters": {"type": "structure", "required": ("TableName", "AttributeDefinitions",
        "KeySchema"), "members": {"TableName": "TableName", "AttributeDefinitions": "AttributeDefinitions",
        "KeySchema": "KeySchema", "BillingMode": "BillingMode", "ProvisionedThroughput":
        "ProvisionedThroughput", "OnDemandThroughput": "OnDemandThroughput", "SSESpecification":
        "SSESpecification", "GlobalSecondaryIndexes": "GlobalSecondaryIndexList", "VectorIndexes":
        "VectorIndexList"}},
    "TableName": {"type": "string", "min": 3, "max": 255, "pattern": "[a-zA-Z0-9_.-]+"},
    "Tag": {"type": "structure", "required": ("Key", "Value"), "members": {"Key": "TagKeyString", "Value":
        "TagValueString"}},
    "TagKeyList": {"type": "list", "member": "TagKeyString"},
    "TagKeyString": {"type": "string", "min": 1, "max": 128},
    "TagList": {"type": "list", "member": "Tag"},
    "TagResourceInput": {"type": "structure", "required": ("ResourceArn", "Tags"), "members":
        {"ResourceArn": "ResourceArnString", "Tags": "TagList"}},
    "TagValueString": {"type": "string", "min": 0, "max": 256},
    "TimeRangeLowerBound": {"type": "timestamp"},
    "TimeRangeUpperBound": {"type": "timestamp"},
    "TimeToLiveAttributeName": {"type": "string", "min": 1, "max": 255},
    "TimeToLiveEnabled": {"type": "boolean"},
    "TimeToLiveSpecification": {"type": "structure", "required": ("Enabled", "AttributeName"), "members":
        {"Enabled": "TimeToLiveEnabled", "AttributeName": "TimeToLiveAttributeName"}},
    "TopKInteger": {"type": "integer", "min": 1},
    "TransactGetItem": {"type": "structure", "required": ("Get",), "members": {"Get": "Get"}},
    "TransactGetItemList": {"type": "list", "min": 1, "max": 100, "member": "TransactGetItem"},
    "TransactGetItemsInput": {"type": "structure", "required": ("TransactItems",), "members":
        {"TransactItems": "TransactGetItemList", "ReturnConsumedCapacity": "ReturnConsumedCapacity"}},
    "TransactWriteItem": {"type": "structure", "members": {"ConditionCheck": "ConditionCheck", "Put": "Put",
        "Delete": "Delete", "Update": "Update"}},
    "TransactWriteItemList": {"type": "list", "min": 1, "max": 100, "member": "TransactWriteItem"},
    "TransactWriteItemsInput": {"type": "structure", "required": ("TransactItems",), "members":
        {"TransactItems": "TransactWriteItemList", "ReturnConsumedCapacity": "ReturnConsumedCapacity",
        "ReturnItemCollectionMetrics": "ReturnItemCollectionMetrics", "ClientRequestToken":
        "ClientRequestToken"}},
    "UntagResourceInput": {"type": "structure", "required": ("ResourceArn", "TagKeys"), "members":
        {"ResourceArn": "ResourceArnString", "TagKeys": "TagKeyList"}},
    "Update": {"type": "structure", "required": ("Key", "UpdateExpression", "TableName"), "members": {"Key":
        "Key", "UpdateExpression": "UpdateExpression", "TableName": "TableArn", "ConditionExpression":
        "ConditionExpression", "ExpressionAttributeNames": "ExpressionAttributeNameMap",
        "ExpressionAttributeValues": "ExpressionAttributeValueMap", "ReturnValuesOnConditionCheckFailure":
        "ReturnValuesOnConditionCheckFailure"}},
    "UpdateContinuousBackupsInput": {"type": "structure", "required": ("TableName",
        "PointInTimeRecoverySpecification"), "members": {"TableName": "TableArn",
        "PointInTimeRecoverySpecification": "PointInTimeRecoverySpecification"}},
    "UpdateContributorInsightsInput": {"type": "structure", "required": ("TableName",
        "ContributorInsightsAction"), "members": {"TableName": "TableArn", "IndexName": "IndexName",
        "ContributorInsightsAction": "ContributorInsightsAction", "ContributorInsightsMode":
        "ContributorInsightsMode"}},
    "UpdateExpression": {"type": "string"},
    "UpdateGlobalSecondaryIndexAction": {"type": "structure", "required": ("IndexName",), "members":
        {"IndexName": "IndexName", "ProvisionedThroughput": "ProvisionedThroughput", "OnDemandThroughput":
        "OnDemandThroughput", "WarmThroughput": "WarmThroughput"}},
    "UpdateGlobalTableInput": {"type": "structure", "required": ("GlobalTableName", "ReplicaUpdates"),
        "members": {"GlobalTableName": "TableName", "ReplicaUpdates": "ReplicaUpdateList"}},
    "UpdateGlobalTableSettingsInput": {"type": "structure", "required": ("GlobalTableName",), "members":
        {"GlobalTableName": "TableName", "GlobalTableBillingMode": "BillingMode",
        "GlobalTableProvisionedWriteCapacityUnits": "PositiveLongObject",
        "GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate": "AutoScalingSettingsUpdate",
        "GlobalTableGlobalSecondaryIndexSettingsUpdate":
        "GlobalTableGlobalSecondaryIndexSettingsUpdateList", "ReplicaSettingsUpdate":
        "ReplicaSettingsUpdateList"}},
    "UpdateItemInput": {"type": "structure", "required": ("TableName", "Key"), "members": {"TableName":
        "TableArn", "Key": "Key", "AttributeUpdates": "AttributeUpdates", "Expected":
        "ExpectedAttributeMap", "ConditionalOperator": "ConditionalOperator", "ReturnValues": "ReturnValue",
        "ReturnConsumedCapacity": "ReturnConsumedCapacity", "ReturnItemCollectionMetrics":
        "ReturnItemCollectionMetrics", "UpdateExpression": "UpdateExpression", "ConditionExpression":
        "ConditionExpression", "ExpressionAttributeNames": "ExpressionAttributeNameMap",
        "ExpressionAttributeValues": "ExpressionAttributeValueMap", "ReturnValuesOnConditionCheckFailure":
        "ReturnValuesOnConditionCheckFailure"}},
    "UpdateKinesisStreamingConfiguration": {"type": "structure", "members":
        {"ApproximateCreationDateTimePrecision": "ApproximateCreationDateTimePrecision"}},
    "UpdateKinesisStreamingDestinationInput": {"type": "structure", "required": ("TableName", "StreamArn"),
        "members": {"TableName": "TableArn", "StreamArn": "StreamArn",
        "UpdateKinesisStreamingConfiguration": "UpdateKinesisStreamingConfiguration"}},
    "UpdateReplicationGroupMemberAction": {"type": "structure", "required": ("RegionName",), "members":
        {"RegionName": "RegionName", "KMSMasterKeyId": "KMSMasterKeyId", "ProvisionedThroughputOverride":
        "ProvisionedThroughputOverride", "OnDemandThroughputOverride": "OnDemandThroughputOverride",
        "GlobalSecondaryIndexes": "ReplicaGlobalSecondaryIndexList", "TableClassOverride": "TableClass"}},
    "UpdateTableInput": {"type": "structure", "required": ("TableName",), "members":
        {"AttributeDefinitions": "AttributeDefinitions", "TableName": "TableArn", "BillingMode":
        "BillingMode", "ProvisionedThroughput": "ProvisionedThroughput", "GlobalSecondaryIndexUpdates":
        "GlobalSecondaryIndexUpdateList", "StreamSpecification": "StreamSpecification", "SSESpecification":
        "SSESpecification", "ReplicaUpdates": "ReplicationGroupUpdateList", "TableClass": "TableClass",
        "DeletionProtectionEnabled": "DeletionProtectionEnabled", "MultiRegionConsistency":
        "MultiRegionConsistency", "GlobalTableWitnessUpdates": "GlobalTableWitnessGroupUpdateList",
        "OnDemandThroughput": "OnDemandThroughput", "WarmThroughput": "WarmThroughput",
        "GlobalTableSettingsReplicationMode": "GlobalTableSettingsReplicationMode",
        "DisassociationProtectionEnabled": "DisassociationProtectionEnabled", "VectorIndexUpdates":
        "VectorIndexUpdateList"}},
    "UpdateTableReplicaAutoScalingInput": {"type": "structure", "required": ("TableName",), "members":
        {"GlobalSecondaryIndexUpdates": "GlobalSecondaryIndexAutoScalingUpdateList", "TableName":
        "TableArn", "ProvisionedWriteCapacityAutoScalingUpdate": "AutoScalingSettingsUpdate",
        "ReplicaUpdates": "ReplicaAutoScalingUpdateList"}},
    "UpdateTimeToLiveInput": {"type": "structure", "required": ("TableName", "TimeToLiveSpecification"),
        "members": {"TableName": "TableArn", "TimeToLiveSpecification": "TimeToLiveSpecification"}},
    "VectorAttributeDefinition": {"type": "structure", "required": ("AttributeName",), "members":
        {"AttributeName": "VectorAttributeName"}},
    "VectorAttributeName": {"type": "string", "min": 1, "max": 255},
    "VectorDistanceFunction": {"type": "string", "enum": ("COSINE", "DOT_PRODUCT", "EUCLIDEAN")},
    "VectorIndex": {"type": "structure", "required": ("IndexName", "VectorAttribute", "Projection",
        "Dimensions", "DistanceFunction"), "members": {"IndexName": "IndexName", "VectorAttribute":
        "VectorAttributeDefinition", "SearchSchema": "SearchSchema", "Projection": "Projection",
        "Dimensions": "PositiveLongObject", "DistanceFunction": "VectorDistanceFunction"}},
    "VectorIndexList": {"type": "list", "member": "VectorIndex"},
    "VectorIndexUpdate": {"type": "structure", "members": {"Create": "CreateVectorIndexAction", "Delete":
        "DeleteVectorIndexAction"}},
    "VectorIndexUpdateList": {"type": "list", "member": "VectorIndexUpdate"},
    "WarmThroughput": {"type": "structure", "members": {"ReadUnitsPerSecond": "LongObject",
        "WriteUnitsPerSecond": "LongObject"}},
    "WriteRequest": {"type": "structure", "members": {"PutRequest": "PutRequest", "DeleteRequest":
        "DeleteRequest"}},
    "WriteRequests": {"type": "list", "min": 1, "max": 25, "member": "WriteRequest"},
}
