"""AWS Lambda as botocore 1.44.5 knows it: 91 operations, 360 shapes of their requests.

Rules of this file: data, made by `python -m tests.generated.shapes`; a test compares it with the model. Read by
`api.inputs`, which lays `api.overrides` over it. Stands alone as the model of every service does.
"""

from tailrace.api.models import Operations, Shapes

# fmt: off
API_VERSION = "2015-03-31"
NAMESPACE = ""
OPERATIONS: Operations = {
    "AddLayerVersionPermission": {"method": "POST", "path":
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy", "status": 201, "input":
        "AddLayerVersionPermissionRequest"},
    "AddPermission": {"method": "POST", "path": "/2015-03-31/functions/{FunctionName}/policy", "status":
        201, "input": "AddPermissionRequest"},
    "CheckpointDurableExecution": {"method": "POST", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint", "status": 200, "input":
        "CheckpointDurableExecutionRequest"},
    "CreateAlias": {"method": "POST", "path": "/2015-03-31/functions/{FunctionName}/aliases", "status": 201,
        "input": "CreateAliasRequest"},
    "CreateCapacityProvider": {"method": "POST", "path": "/2025-11-30/capacity-providers", "status": 202,
        "input": "CreateCapacityProviderRequest"},
    "CreateCodeSigningConfig": {"method": "POST", "path": "/2020-04-22/code-signing-configs", "status": 201,
        "input": "CreateCodeSigningConfigRequest"},
    "CreateEventSourceMapping": {"method": "POST", "path": "/2015-03-31/event-source-mappings", "status":
        202, "input": "CreateEventSourceMappingRequest"},
    "CreateFunction": {"method": "POST", "path": "/2015-03-31/functions", "status": 201, "input":
        "CreateFunctionRequest"},
    "CreateFunctionUrlConfig": {"method": "POST", "path": "/2021-10-31/functions/{FunctionName}/url",
        "status": 201, "input": "CreateFunctionUrlConfigRequest"},
    "DeleteAlias": {"method": "DELETE", "path": "/2015-03-31/functions/{FunctionName}/aliases/{Name}",
        "status": 204, "input": "DeleteAliasRequest"},
    "DeleteCapacityProvider": {"method": "DELETE", "path":
        "/2025-11-30/capacity-providers/{CapacityProviderName}", "status": 202, "input":
        "DeleteCapacityProviderRequest"},
    "DeleteCodeSigningConfig": {"method": "DELETE", "path":
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", "status": 204, "input":
        "DeleteCodeSigningConfigRequest"},
    "DeleteDurableExecution": {"method": "DELETE", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}", "status": 202, "input":
        "DeleteDurableExecutionRequest"},
    "DeleteEventSourceMapping": {"method": "DELETE", "path": "/2015-03-31/event-source-mappings/{UUID}",
        "status": 202, "input": "DeleteEventSourceMappingRequest"},
    "DeleteFunction": {"method": "DELETE", "path": "/2015-03-31/functions/{FunctionName}", "status": 200,
        "input": "DeleteFunctionRequest"},
    "DeleteFunctionCodeSigningConfig": {"method": "DELETE", "path":
        "/2020-06-30/functions/{FunctionName}/code-signing-config", "status": 204, "input":
        "DeleteFunctionCodeSigningConfigRequest"},
    "DeleteFunctionConcurrency": {"method": "DELETE", "path":
        "/2017-10-31/functions/{FunctionName}/concurrency", "status": 204, "input":
        "DeleteFunctionConcurrencyRequest"},
    "DeleteFunctionEventInvokeConfig": {"method": "DELETE", "path":
        "/2019-09-25/functions/{FunctionName}/event-invoke-config", "status": 204, "input":
        "DeleteFunctionEventInvokeConfigRequest"},
    "DeleteFunctionUrlConfig": {"method": "DELETE", "path": "/2021-10-31/functions/{FunctionName}/url",
        "status": 204, "input": "DeleteFunctionUrlConfigRequest"},
    "DeleteLayerVersion": {"method": "DELETE", "path":
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}", "status": 204, "input":
        "DeleteLayerVersionRequest"},
    "DeleteProvisionedConcurrencyConfig": {"method": "DELETE", "path":
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", "status": 204, "input":
        "DeleteProvisionedConcurrencyConfigRequest"},
    "DeleteResourcePolicy": {"method": "DELETE", "path": "/2026-07-09/resource-policy/{ResourceArn}",
        "status": 204, "input": "DeleteResourcePolicyRequest"},
    "GetAccountSettings": {"method": "GET", "path": "/2016-08-19/account-settings", "status": 200, "input":
        "GetAccountSettingsRequest"},
    "GetAlias": {"method": "GET", "path": "/2015-03-31/functions/{FunctionName}/aliases/{Name}", "status":
        200, "input": "GetAliasRequest"},
    "GetCapacityProvider": {"method": "GET", "path":
        "/2025-11-30/capacity-providers/{CapacityProviderName}", "status": 200, "input":
        "GetCapacityProviderRequest"},
    "GetCodeSigningConfig": {"method": "GET", "path":
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", "status": 200, "input":
        "GetCodeSigningConfigRequest"},
    "GetDurableExecution": {"method": "GET", "path": "/2025-12-01/durable-executions/{DurableExecutionArn}",
        "status": 200, "input": "GetDurableExecutionRequest"},
    "GetDurableExecutionHistory": {"method": "GET", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}/history", "status": 200, "input":
        "GetDurableExecutionHistoryRequest"},
    "GetDurableExecutionState": {"method": "GET", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}/state", "status": 200, "input":
        "GetDurableExecutionStateRequest"},
    "GetEventSourceMapping": {"method": "GET", "path": "/2015-03-31/event-source-mappings/{UUID}", "status":
        200, "input": "GetEventSourceMappingRequest"},
    "GetFunction": {"method": "GET", "path": "/2015-03-31/functions/{FunctionName}", "status": 200, "input":
        "GetFunctionRequest"},
    "GetFunctionCodeSigningConfig": {"method": "GET", "path":
        "/2020-06-30/functions/{FunctionName}/code-signing-config", "status": 200, "input":
        "GetFunctionCodeSigningConfigRequest"},
    "GetFunctionConcurrency": {"method": "GET", "path": "/2019-09-30/functions/{FunctionName}/concurrency",
        "status": 200, "input": "GetFunctionConcurrencyRequest"},
    "GetFunctionConfiguration": {"method": "GET", "path":
        "/2015-03-31/functions/{FunctionName}/configuration", "status": 200, "input":
        "GetFunctionConfigurationRequest"},
    "GetFunctionEventInvokeConfig": {"method": "GET", "path":
        "/2019-09-25/functions/{FunctionName}/event-invoke-config", "status": 200, "input":
        "GetFunctionEventInvokeConfigRequest"},
    "GetFunctionRecursionConfig": {"method": "GET", "path":
        "/2024-08-31/functions/{FunctionName}/recursion-config", "status": 200, "input":
        "GetFunctionRecursionConfigRequest"},
    "GetFunctionScalingConfig": {"method": "GET", "path":
        "/2025-11-30/functions/{FunctionName}/function-scaling-config", "status": 200, "input":
        "GetFunctionScalingConfigRequest"},
    "GetFunctionUrlConfig": {"method": "GET", "path": "/2021-10-31/functions/{FunctionName}/url", "status":
        200, "input": "GetFunctionUrlConfigRequest"},
    "GetLayerVersion": {"method": "GET", "path": "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}",
        "status": 200, "input": "GetLayerVersionRequest"},
    "GetLayerVersionByArn": {"method": "GET", "path": "/2018-10-31/layers?find=LayerVersion", "status": 200,
        "input": "GetLayerVersionByArnRequest"},
    "GetLayerVersionPolicy": {"method": "GET", "path":
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy", "status": 200, "input":
        "GetLayerVersionPolicyRequest"},
    "GetPolicy": {"method": "GET", "path": "/2015-03-31/functions/{FunctionName}/policy", "status": 200,
        "input": "GetPolicyRequest"},
    "GetProvisionedConcurrencyConfig": {"method": "GET", "path":
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", "status": 200, "input":
        "GetProvisionedConcurrencyConfigRequest"},
    "GetResourcePolicy": {"method": "GET", "path": "/2026-07-09/resource-policy/{ResourceArn}", "status":
        200, "input": "GetResourcePolicyRequest"},
    "GetRuntimeManagementConfig": {"method": "GET", "path":
        "/2021-07-20/functions/{FunctionName}/runtime-management-config", "status": 200, "input":
        "GetRuntimeManagementConfigRequest"},
    "Invoke": {"method": "POST", "path": "/2015-03-31/functions/{FunctionName}/invocations", "status": 200,
        "input": "InvocationRequest"},
    "InvokeAsync": {"method": "POST", "path": "/2014-11-13/functions/{FunctionName}/invoke-async", "status":
        202, "input": "InvokeAsyncRequest"},
    "InvokeWithResponseStream": {"method": "POST", "path":
        "/2021-11-15/functions/{FunctionName}/response-streaming-invocations", "status": 200, "input":
        "InvokeWithResponseStreamRequest"},
    "ListAliases": {"method": "GET", "path": "/2015-03-31/functions/{FunctionName}/aliases", "status": 200,
        "input": "ListAliasesRequest"},
    "ListCapacityProviders": {"method": "GET", "path": "/2025-11-30/capacity-providers", "status": 200,
        "input": "ListCapacityProvidersRequest"},
    "ListCodeSigningConfigs": {"method": "GET", "path": "/2020-04-22/code-signing-configs", "status": 200,
        "input": "ListCodeSigningConfigsRequest"},
    "ListDurableExecutionsByFunction": {"method": "GET", "path":
        "/2025-12-01/functions/{FunctionName}/durable-executions", "status": 200, "input":
        "ListDurableExecutionsByFunctionRequest"},
    "ListEventSourceMappings": {"method": "GET", "path": "/2015-03-31/event-source-mappings", "status": 200,
        "input": "ListEventSourceMappingsRequest"},
    "ListFunctionEventInvokeConfigs": {"method": "GET", "path":
        "/2019-09-25/functions/{FunctionName}/event-invoke-config/list", "status": 200, "input":
        "ListFunctionEventInvokeConfigsRequest"},
    "ListFunctionUrlConfigs": {"method": "GET", "path": "/2021-10-31/functions/{FunctionName}/urls",
        "status": 200, "input": "ListFunctionUrlConfigsRequest"},
    "ListFunctionVersionsByCapacityProvider": {"method": "GET", "path":
        "/2025-11-30/capacity-providers/{CapacityProviderName}/function-versions", "status": 200, "input":
        "ListFunctionVersionsByCapacityProviderRequest"},
    "ListFunctions": {"method": "GET", "path": "/2015-03-31/functions", "status": 200, "input":
        "ListFunctionsRequest"},
    "ListFunctionsByCodeSigningConfig": {"method": "GET", "path":
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions", "status": 200, "input":
        "ListFunctionsByCodeSigningConfigRequest"},
    "ListLayerVersions": {"method": "GET", "path": "/2018-10-31/layers/{LayerName}/versions", "status": 200,
        "input": "ListLayerVersionsRequest"},
    "ListLayers": {"method": "GET", "path": "/2018-10-31/layers", "status": 200, "input":
        "ListLayersRequest"},
    "ListProvisionedConcurrencyConfigs": {"method": "GET", "path":
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency?List=ALL", "status": 200, "input":
        "ListProvisionedConcurrencyConfigsRequest"},
    "ListTags": {"method": "GET", "path": "/2017-03-31/tags/{Resource}", "status": 200, "input":
        "ListTagsRequest"},
    "ListVersionsByFunction": {"method": "GET", "path": "/2015-03-31/functions/{FunctionName}/versions",
        "status": 200, "input": "ListVersionsByFunctionRequest"},
    "PauseDurableExecution": {"method": "POST", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}/pause", "status": 202, "input":
        "PauseDurableExecutionRequest"},
    "PublishLayerVersion": {"method": "POST", "path": "/2018-10-31/layers/{LayerName}/versions", "status":
        201, "input": "PublishLayerVersionRequest"},
    "PublishVersion": {"method": "POST", "path": "/2015-03-31/functions/{FunctionName}/versions", "status":
        201, "input": "PublishVersionRequest"},
    "PutFunctionCodeSigningConfig": {"method": "PUT", "path":
        "/2020-06-30/functions/{FunctionName}/code-signing-config", "status": 200, "input":
        "PutFunctionCodeSigningConfigRequest"},
    "PutFunctionConcurrency": {"method": "PUT", "path": "/2017-10-31/functions/{FunctionName}/concurrency",
        "status": 200, "input": "PutFunctionConcurrencyRequest"},
    "PutFunctionEventInvokeConfig": {"method": "PUT", "path":
        "/2019-09-25/functions/{FunctionName}/event-invoke-config", "status": 200, "input":
        "PutFunctionEventInvokeConfigRequest"},
    "PutFunctionRecursionConfig": {"method": "PUT", "path":
        "/2024-08-31/functions/{FunctionName}/recursion-config", "status": 200, "input":
        "PutFunctionRecursionConfigRequest"},
    "PutFunctionScalingConfig": {"method": "PUT", "path":
        "/2025-11-30/functions/{FunctionName}/function-scaling-config", "status": 202, "input":
        "PutFunctionScalingConfigRequest"},
    "PutProvisionedConcurrencyConfig": {"method": "PUT", "path":
        "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", "status": 202, "input":
        "PutProvisionedConcurrencyConfigRequest"},
    "PutResourcePolicy": {"method": "PUT", "path": "/2026-07-09/resource-policy/{ResourceArn}", "status":
        200, "input": "PutResourcePolicyRequest"},
    "PutRuntimeManagementConfig": {"method": "PUT", "path":
        "/2021-07-20/functions/{FunctionName}/runtime-management-config", "status": 200, "input":
        "PutRuntimeManagementConfigRequest"},
    "RemoveLayerVersionPermission": {"method": "DELETE", "path":
        "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}", "status": 204,
        "input": "RemoveLayerVersionPermissionRequest"},
    "RemovePermission": {"method": "DELETE", "path":
        "/2015-03-31/functions/{FunctionName}/policy/{StatementId}", "status": 204, "input":
        "RemovePermissionRequest"},
    "ResumeDurableExecution": {"method": "POST", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}/resume", "status": 202, "input":
        "ResumeDurableExecutionRequest"},
    "SendDurableExecutionCallbackFailure": {"method": "POST", "path":
        "/2025-12-01/durable-execution-callbacks/{CallbackId}/fail", "status": 200, "input":
        "SendDurableExecutionCallbackFailureRequest"},
    "SendDurableExecutionCallbackHeartbeat": {"method": "POST", "path":
        "/2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat", "status": 200, "input":
        "SendDurableExecutionCallbackHeartbeatRequest"},
    "SendDurableExecutionCallbackSuccess": {"method": "POST", "path":
        "/2025-12-01/durable-execution-callbacks/{CallbackId}/succeed", "status": 200, "input":
        "SendDurableExecutionCallbackSuccessRequest"},
    "StopDurableExecution": {"method": "POST", "path":
        "/2025-12-01/durable-executions/{DurableExecutionArn}/stop", "status": 200, "input":
        "StopDurableExecutionRequest"},
    "TagResource": {"method": "POST", "path": "/2017-03-31/tags/{Resource}", "status": 204, "input":
        "TagResourceRequest"},
    "UntagResource": {"method": "DELETE", "path": "/2017-03-31/tags/{Resource}", "status": 204, "input":
        "UntagResourceRequest"},
    "UpdateAlias": {"method": "PUT", "path": "/2015-03-31/functions/{FunctionName}/aliases/{Name}",
        "status": 200, "input": "UpdateAliasRequest"},
    "UpdateCapacityProvider": {"method": "PUT", "path":
        "/2025-11-30/capacity-providers/{CapacityProviderName}", "status": 202, "input":
        "UpdateCapacityProviderRequest"},
    "UpdateCodeSigningConfig": {"method": "PUT", "path":
        "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}", "status": 200, "input":
        "UpdateCodeSigningConfigRequest"},
    "UpdateEventSourceMapping": {"method": "PUT", "path": "/2015-03-31/event-source-mappings/{UUID}",
        "status": 202, "input": "UpdateEventSourceMappingRequest"},
    "UpdateFunctionCode": {"method": "PUT", "path": "/2015-03-31/functions/{FunctionName}/code", "status":
        200, "input": "UpdateFunctionCodeRequest"},
    "UpdateFunctionConfiguration": {"method": "PUT", "path":
        "/2015-03-31/functions/{FunctionName}/configuration", "status": 200, "input":
        "UpdateFunctionConfigurationRequest"},
    "UpdateFunctionEventInvokeConfig": {"method": "POST", "path":
        "/2019-09-25/functions/{FunctionName}/event-invoke-config", "status": 200, "input":
        "UpdateFunctionEventInvokeConfigRequest"},
    "UpdateFunctionUrlConfig": {"method": "PUT", "path": "/2021-10-31/functions/{FunctionName}/url",
        "status": 200, "input": "UpdateFunctionUrlConfigRequest"},
}
SHAPES: Shapes = {
    "AcceleratorConfig": {"type": "structure", "required": ("AcceleratorMemorySize",), "members":
        {"AcceleratorMemorySize": "AcceleratorMemoryGB"}},
    "AcceleratorMemoryGB": {"type": "integer"},
    "Action": {"type": "string", "min": 0, "max": 10000, "pattern": "(lambda:[*]|lambda:[a-zA-Z]+|[*])"},
    "AddLayerVersionPermissionRequest": {"type": "structure", "required": ("LayerName", "VersionNumber",
        "StatementId", "Action", "Principal"), "members": {"LayerName": "LayerNameOrArn", "VersionNumber":
        "LayerVersionNumber", "StatementId": "StatementId", "Action": "LayerPermissionAllowedAction",
        "Principal": "LayerPermissionAllowedPrincipal", "OrganizationId": "OrganizationId", "RevisionId":
        "String"}, "places": {"LayerName": ("uri", "LayerName"), "VersionNumber": ("uri", "VersionNumber"),
        "RevisionId": ("querystring", "RevisionId")}},
    "AddPermissionRequest": {"type": "structure", "required": ("FunctionName", "StatementId", "Action",
        "Principal"), "members": {"FunctionName": "NamespacedFunctionName", "StatementId": "StatementId",
        "Action": "Action", "Principal": "Principal", "SourceArn": "Arn", "FunctionUrlAuthType":
        "FunctionUrlAuthType", "InvokedViaFunctionUrl": "InvokedViaFunctionUrl", "SourceAccount":
        "SourceOwner", "EventSourceToken": "EventSourceToken", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier", "RevisionId": "String", "PrincipalOrgID":
        "PrincipalOrgID"}, "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring",
        "Qualifier")}},
    "AdditionalVersion": {"type": "string", "min": 1, "max": 1024, "pattern": "[0-9]+"},
    "AdditionalVersionWeights": {"type": "map", "key": "AdditionalVersion", "value": "Weight"},
    "Alias": {"type": "string", "min": 1, "max": 128, "pattern": "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"},
    "AliasRoutingConfiguration": {"type": "structure", "members": {"AdditionalVersionWeights":
        "AdditionalVersionWeights"}},
    "AllowCredentials": {"type": "boolean"},
    "AllowMethodsList": {"type": "list", "min": 0, "max": 6, "member": "Method"},
    "AllowOriginsList": {"type": "list", "min": 0, "max": 100, "member": "Origin"},
    "AllowedPublishers": {"type": "structure", "required": ("SigningProfileVersionArns",), "members":
        {"SigningProfileVersionArns": "SigningProfileVersionArns"}},
    "AmazonManagedKafkaEventSourceConfig": {"type": "structure", "members": {"ConsumerGroupId": "URI",
        "SchemaRegistryConfig": "KafkaSchemaRegistryConfig"}},
    "ApplicationLogLevel": {"type": "string", "enum": ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")},
    "Architecture": {"type": "string", "enum": ("x86_64", "arm64")},
    "ArchitecturesList": {"type": "list", "min": 1, "max": 1, "member": "Architecture"},
    "Arn": {"type": "string", "min": 0, "max": 10000, "pattern":
        "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)"},
    "BatchSize": {"type": "integer", "min": 1, "max": 10000},
    "BinaryOperationPayload": {"type": "blob", "min": 0, "max": 1048576},
    "BisectBatchOnFunctionError": {"type": "boolean"},
    "Blob": {"type": "blob"},
    "BlobStream": {"type": "blob"},
    "Boolean": {"type": "boolean"},
    "CallbackId": {"type": "string", "min": 1, "max": 1024, "pattern": "[A-Za-z0-9+/]+={0,2}"},
    "CallbackOptions": {"type": "structure", "members": {"TimeoutSeconds":
        "CallbackOptionsTimeoutSecondsInteger", "HeartbeatTimeoutSeconds":
        "CallbackOptionsHeartbeatTimeoutSecondsInteger"}},
    "CallbackOptionsHeartbeatTimeoutSecondsInteger": {"type": "integer", "min": 0, "max": 99999999},
    "CallbackOptionsTimeoutSecondsInteger": {"type": "integer", "min": 0, "max": 99999999},
    "CapacityProviderArn": {"type": "string", "min": 1, "max": 140, "pattern":
        "arn:aws[a-zA-Z-]*:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:capacity-provider:[a-zA-Z0-9-_]+"},
    "CapacityProviderConfig": {"type": "structure", "required":
        ("LambdaManagedInstancesCapacityProviderConfig",), "members":
        {"LambdaManagedInstancesCapacityProviderConfig": "LambdaManagedInstancesCapacityProviderConfig"}},
    "CapacityProviderLoggingConfig": {"type": "structure", "members": {"SystemLogLevel": "SystemLogLevel",
        "LogGroup": "LogGroup"}},
    "CapacityProviderMaxVCpuCount": {"type": "integer", "min": 2, "max": 15000},
    "CapacityProviderName": {"type": "string", "min": 1, "max": 140, "pattern":
        "(arn:aws[a-zA-Z-]*:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:capacity-provider:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+"},
    "CapacityProviderPermissionsConfig": {"type": "structure", "required":
        ("CapacityProviderOperatorRoleArn",), "members": {"CapacityProviderOperatorRoleArn": "RoleArn"}},
    "CapacityProviderPredefinedMetricType": {"type": "string", "enum":
        ("LambdaCapacityProviderAverageCPUUtilization", "LambdaCapacityProviderAverageGPUUtilization")},
    "CapacityProviderScalingConfig": {"type": "structure", "members": {"MaxVCpuCount":
        "CapacityProviderMaxVCpuCount", "ScalingMode": "CapacityProviderScalingMode", "ScalingPolicies":
        "CapacityProviderScalingPoliciesList"}},
    "CapacityProviderScalingMode": {"type": "string", "enum": ("Auto", "Manual")},
    "CapacityProviderScalingPoliciesList": {"type": "list", "min": 1, "max": 10, "member":
        "TargetTrackingScalingPolicy"},
    "CapacityProviderSecurityGroupIds": {"type": "list", "min": 0, "max": 5, "member": "SecurityGroupId"},
    "CapacityProviderState": {"type": "string", "enum": ("Pending", "Active", "Failed", "Deleting")},
    "CapacityProviderSubnetIds": {"type": "list", "min": 1, "max": 16, "member": "SubnetId"},
    "CapacityProviderTelemetryConfig": {"type": "structure", "members": {"LoggingConfig":
        "CapacityProviderLoggingConfig"}},
    "CapacityProviderVpcConfig": {"type": "structure", "required": ("SubnetIds", "SecurityGroupIds"),
        "members": {"SubnetIds": "CapacityProviderSubnetIds", "SecurityGroupIds":
        "CapacityProviderSecurityGroupIds"}},
    "ChainedInvokeOptions": {"type": "structure", "required": ("FunctionName",), "members": {"FunctionName":
        "NamespacedFunctionName", "TenantId": "TenantId", "XAmznTraceId": "XAmznTraceId"}},
    "CheckpointDurableExecutionRequest": {"type": "structure", "required": ("DurableExecutionArn",
        "CheckpointToken"), "members": {"DurableExecutionArn": "DurableExecutionArn", "CheckpointToken":
        "CheckpointToken", "Updates": "OperationUpdates", "ClientToken": "ClientToken"}, "places":
        {"DurableExecutionArn": ("uri", "DurableExecutionArn")}},
    "CheckpointToken": {"type": "string", "min": 1, "max": 2048, "pattern": "[A-Za-z0-9+/]+={0,2}"},
    "ClientToken": {"type": "string", "min": 1, "max": 64, "pattern": "[\\x21-\\x7E]+"},
    "CodeSigningConfigArn": {"type": "string", "min": 0, "max": 200, "pattern":
        "arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:code-signing-config:csc-[a-z0-9]{17}"},
    "CodeSigningPolicies": {"type": "structure", "members": {"UntrustedArtifactOnDeployment":
        "CodeSigningPolicy"}},
    "CodeSigningPolicy": {"type": "string", "enum": ("Warn", "Enforce")},
    "CollectionName": {"type": "string", "min": 1, "max": 57, "pattern":
        "(^(?!(system\\x2e)))(^[_a-zA-Z0-9])([^$]*)"},
    "CompatibleArchitectures": {"type": "list", "min": 0, "max": 2, "member": "Architecture"},
    "CompatibleRuntimes": {"type": "list", "min": 0, "max": 15, "member": "Runtime"},
    "ContextOptions": {"type": "structure", "members": {"ReplayChildren": "ReplayChildren"}},
    "Cors": {"type": "structure", "members": {"AllowCredentials": "AllowCredentials", "AllowHeaders":
        "HeadersList", "AllowMethods": "AllowMethodsList", "AllowOrigins": "AllowOriginsList",
        "ExposeHeaders": "HeadersList", "MaxAge": "MaxAge"}},
    "CreateAliasRequest": {"type": "structure", "required": ("FunctionName", "Name", "FunctionVersion"),
        "members": {"FunctionName": "FunctionName", "Name": "Alias", "FunctionVersion":
        "VersionWithLatestPublished", "Description": "Description", "RoutingConfig":
        "AliasRoutingConfiguration"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "CreateCapacityProviderRequest": {"type": "structure", "required": ("CapacityProviderName", "VpcConfig",
        "PermissionsConfig"), "members": {"CapacityProviderName": "CapacityProviderName", "VpcConfig":
        "CapacityProviderVpcConfig", "PermissionsConfig": "CapacityProviderPermissionsConfig",
        "InstanceRequirements": "InstanceRequirements", "CapacityProviderScalingConfig":
        "CapacityProviderScalingConfig", "KmsKeyArn": "KMSKeyArnNonEmpty", "Tags": "Tags", "PropagateTags":
        "PropagateTags", "TelemetryConfig": "CapacityProviderTelemetryConfig"}},
    "CreateCodeSigningConfigRequest": {"type": "structure", "required": ("AllowedPublishers",), "members":
        {"Description": "Description", "AllowedPublishers": "AllowedPublishers", "CodeSigningPolicies":
        "CodeSigningPolicies", "Tags": "Tags"}},
    "CreateEventSourceMappingRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"EventSourceArn": "Arn", "FunctionName": "NamespacedFunctionName", "Enabled": "Enabled",
        "BatchSize": "BatchSize", "FilterCriteria": "FilterCriteria", "KMSKeyArn": "KMSKeyArn",
        "MetricsConfig": "EventSourceMappingMetricsConfig", "LoggingConfig":
        "EventSourceMappingLoggingConfig", "ScalingConfig": "ScalingConfig",
        "MaximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds", "ParallelizationFactor":
        "ParallelizationFactor", "StartingPosition": "EventSourcePosition", "StartingPositionTimestamp":
        "Date", "DestinationConfig": "DestinationConfig", "MaximumRecordAgeInSeconds":
        "MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError": "BisectBatchOnFunctionError",
        "MaximumRetryAttempts": "MaximumRetryAttemptsEventSourceMapping", "Tags": "Tags",
        "TumblingWindowInSeconds": "TumblingWindowInSeconds", "Topics": "Topics", "Queues": "Queues",
        "SourceAccessConfigurations": "SourceAccessConfigurations", "SelfManagedEventSource":
        "SelfManagedEventSource", "FunctionResponseTypes": "FunctionResponseTypeList",
        "AmazonManagedKafkaEventSourceConfig": "AmazonManagedKafkaEventSourceConfig",
        "SelfManagedKafkaEventSourceConfig": "SelfManagedKafkaEventSourceConfig",
        "DocumentDBEventSourceConfig": "DocumentDBEventSourceConfig", "ProvisionedPollerConfig":
        "ProvisionedPollerConfig"}},
    "CreateFunctionRequest": {"type": "structure", "required": ("FunctionName", "Role", "Code"), "members":
        {"FunctionName": "FunctionName", "Runtime": "Runtime", "Role": "RoleArn", "Handler": "Handler",
        "Code": "FunctionCode", "Description": "Description", "Timeout": "Timeout", "MemorySize":
        "MemorySize", "Publish": "Boolean", "PublishTo": "FunctionVersionLatestPublished", "VpcConfig":
        "VpcConfig", "PackageType": "PackageType", "DeadLetterConfig": "DeadLetterConfig", "Environment":
        "Environment", "KMSKeyArn": "KMSKeyArn", "TracingConfig": "TracingConfig", "Tags": "Tags", "Layers":
        "LayerList", "FileSystemConfigs": "FileSystemConfigList", "CodeSigningConfigArn":
        "CodeSigningConfigArn", "ImageConfig": "ImageConfig", "Architectures": "ArchitecturesList",
        "EphemeralStorage": "EphemeralStorage", "SnapStart": "SnapStart", "LoggingConfig": "LoggingConfig",
        "TenancyConfig": "TenancyConfig", "CapacityProviderConfig": "CapacityProviderConfig",
        "DurableConfig": "DurableConfig", "RuntimeConfig": "FunctionRuntimeConfig", "AcceleratorConfig":
        "AcceleratorConfig"}},
    "CreateFunctionUrlConfigRequest": {"type": "structure", "required": ("FunctionName", "AuthType"),
        "members": {"FunctionName": "FunctionUrlFunctionName", "Qualifier": "FunctionUrlQualifier",
        "AuthType": "FunctionUrlAuthType", "Cors": "Cors", "InvokeMode": "InvokeMode"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "DatabaseName": {"type": "string", "min": 1, "max": 63, "pattern": "[^\x20/\\.$\\x22]*"},
    "Date": {"type": "timestamp"},
    "DeadLetterConfig": {"type": "structure", "members": {"TargetArn": "ResourceArn"}},
    "DeleteAliasRequest": {"type": "structure", "required": ("FunctionName", "Name"), "members":
        {"FunctionName": "FunctionName", "Name": "Alias"}, "places": {"FunctionName": ("uri",
        "FunctionName"), "Name": ("uri", "Name")}},
    "DeleteCapacityProviderRequest": {"type": "structure", "required": ("CapacityProviderName",), "members":
        {"CapacityProviderName": "CapacityProviderName"}, "places": {"CapacityProviderName": ("uri",
        "CapacityProviderName")}},
    "DeleteCodeSigningConfigRequest": {"type": "structure", "required": ("CodeSigningConfigArn",),
        "members": {"CodeSigningConfigArn": "CodeSigningConfigArn"}, "places": {"CodeSigningConfigArn":
        ("uri", "CodeSigningConfigArn")}},
    "DeleteDurableExecutionRequest": {"type": "structure", "required": ("DurableExecutionArn",), "members":
        {"DurableExecutionArn": "DurableExecutionArn"}, "places": {"DurableExecutionArn": ("uri",
        "DurableExecutionArn")}},
    "DeleteEventSourceMappingRequest": {"type": "structure", "required": ("UUID",), "members": {"UUID":
        "UUIDString"}, "places": {"UUID": ("uri", "UUID")}},
    "DeleteFunctionCodeSigningConfigRequest": {"type": "structure", "required": ("FunctionName",),
        "members": {"FunctionName": "NamespacedFunctionName"}, "places": {"FunctionName": ("uri",
        "FunctionName")}},
    "DeleteFunctionConcurrencyRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionName"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "DeleteFunctionEventInvokeConfigRequest": {"type": "structure", "required": ("FunctionName",),
        "members": {"FunctionName": "NamespacedFunctionName", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier"}, "places": {"FunctionName": ("uri", "FunctionName"),
        "Qualifier": ("querystring", "Qualifier")}},
    "DeleteFunctionRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "DeleteFunctionUrlConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionUrlFunctionName", "Qualifier": "FunctionUrlQualifier"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "DeleteLayerVersionRequest": {"type": "structure", "required": ("LayerName", "VersionNumber"),
        "members": {"LayerName": "LayerNameOrArn", "VersionNumber": "LayerVersionNumber"}, "places":
        {"LayerName": ("uri", "LayerName"), "VersionNumber": ("uri", "VersionNumber")}},
    "DeleteProvisionedConcurrencyConfigRequest": {"type": "structure", "required": ("FunctionName",
        "Qualifier"), "members": {"FunctionName": "FunctionName", "Qualifier": "Qualifier"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "DeleteResourcePolicyRequest": {"type": "structure", "required": ("ResourceArn",), "members":
        {"ResourceArn": "PolicyResourceArn", "RevisionId": "RevisionId"}, "places": {"ResourceArn": ("uri",
        "ResourceArn"), "RevisionId": ("querystring", "RevisionId")}},
    "Description": {"type": "string", "min": 0, "max": 256},
    "DestinationArn": {"type": "string", "min": 0, "max": 350, "pattern":
        "$|kafka://([^.]([a-zA-Z0-9\\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)"},
    "DestinationConfig": {"type": "structure", "members": {"OnSuccess": "OnSuccess", "OnFailure":
        "OnFailure"}},
    "DirectS3Read": {"type": "string", "enum": ("ENABLED", "DISABLED", "AUTO")},
    "DocumentDBEventSourceConfig": {"type": "structure", "members": {"DatabaseName": "DatabaseName",
        "CollectionName": "CollectionName", "FullDocument": "FullDocument"}},
    "DurableConfig": {"type": "structure", "members": {"KMSKeyArn": "KMSKeyArn", "RetentionPeriodInDays":
        "RetentionPeriodInDays", "ExecutionTimeout": "ExecutionTimeout"}},
    "DurableExecutionArn": {"type": "string", "min": 1, "max": 1024, "pattern":
        "arn:([a-zA-Z0-9-]+):lambda:([a-zA-Z0-9-]+):(\\d{12}):function:([a-zA-Z0-9_-]+):(\\$LATEST(?:\\.PUBLISHED)?|[0-9]+)/durable-execution/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)"},
    "DurableExecutionName": {"type": "string", "min": 1, "max": 64, "pattern": "[a-zA-Z0-9-_]+"},
    "Enabled": {"type": "boolean"},
    "EndPointType": {"type": "string", "enum": ("KAFKA_BOOTSTRAP_SERVERS",)},
    "Endpoint": {"type": "string", "min": 1, "max": 300, "pattern":
        "(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\\-]*[a-zA-Z0-9])\\.)*([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\\-]*[A-Za-z0-9]):[0-9]{1,5}"},
    "EndpointLists": {"type": "list", "min": 1, "max": 10, "member": "Endpoint"},
    "Endpoints": {"type": "map", "min": 1, "max": 2, "key": "EndPointType", "value": "EndpointLists"},
    "Environment": {"type": "structure", "members": {"Variables": "EnvironmentVariables"}},
    "EnvironmentVariableName": {"type": "string", "pattern": "[a-zA-Z]([a-zA-Z0-9_])+"},
    "EnvironmentVariableValue": {"type": "string"},
    "EnvironmentVariables": {"type": "map", "key": "EnvironmentVariableName", "value":
        "EnvironmentVariableValue"},
    "EphemeralStorage": {"type": "structure", "required": ("Size",), "members": {"Size":
        "EphemeralStorageSize"}},
    "EphemeralStorageSize": {"type": "integer", "min": 512, "max": 32768},
    "ErrorData": {"type": "string"},
    "ErrorMessage": {"type": "string"},
    "ErrorObject": {"type": "structure", "members": {"ErrorMessage": "ErrorMessage", "ErrorType":
        "ErrorType", "ErrorData": "ErrorData", "StackTrace": "StackTraceEntries"}},
    "ErrorType": {"type": "string"},
    "EventSourceMappingLoggingConfig": {"type": "structure", "members": {"SystemLogLevel":
        "EventSourceMappingSystemLogLevel"}},
    "EventSourceMappingMetric": {"type": "string", "enum": ("EventCount", "ErrorCount", "KafkaMetrics")},
    "EventSourceMappingMetricList": {"type": "list", "min": 0, "max": 3, "member":
        "EventSourceMappingMetric"},
    "EventSourceMappingMetricsConfig": {"type": "structure", "members": {"Metrics":
        "EventSourceMappingMetricList"}},
    "EventSourceMappingSystemLogLevel": {"type": "string", "enum": ("DEBUG", "INFO", "WARN")},
    "EventSourcePosition": {"type": "string", "enum": ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")},
    "EventSourceToken": {"type": "string", "min": 0, "max": 256, "pattern": "[a-zA-Z0-9._\\-]+"},
    "ExecutionEnvironmentMemoryGiBPerVCpu": {"type": "double", "min": 2, "max": 8},
    "ExecutionStatus": {"type": "string", "enum": ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED",
        "DELETING", "PAUSING", "PAUSED")},
    "ExecutionStatusList": {"type": "list", "min": 1, "max": 10, "member": "ExecutionStatus"},
    "ExecutionTimeout": {"type": "integer", "min": 1, "max": 31622400},
    "ExecutionTimeoutPaused": {"type": "boolean"},
    "ExecutionTimestamp": {"type": "timestamp"},
    "FileSystemArn": {"type": "string", "min": 0, "max": 256, "pattern":
        "arn:aws[a-zA-Z-]*:elasticfilesystem:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:access-point/fsap-[a-f0-9]{17}$|^arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}"},
    "FileSystemConfig": {"type": "structure", "required": ("Arn", "LocalMountPath"), "members": {"Arn":
        "FileSystemArn", "LocalMountPath": "LocalMountPath", "S3FilesConfig": "S3FilesConfig"}},
    "FileSystemConfigList": {"type": "list", "min": 0, "max": 1, "member": "FileSystemConfig"},
    "Filter": {"type": "structure", "members": {"Pattern": "Pattern"}},
    "FilterCriteria": {"type": "structure", "members": {"Filters": "FilterList"}},
    "FilterList": {"type": "list", "member": "Filter"},
    "FullDocument": {"type": "string", "enum": ("UpdateLookup", "Default")},
    "FunctionCode": {"type": "structure", "members": {"ZipFile": "Blob", "S3Bucket": "S3Bucket", "S3Key":
        "S3Key", "S3ObjectVersion": "S3ObjectVersion", "S3ObjectStorageMode": "S3ObjectStorageMode",
        "ImageUri": "String", "SourceKMSKeyArn": "KMSKeyArn"}},
    "FunctionName": {"type": "string", "min": 1, "max": 140, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"},
    "FunctionResponseType": {"type": "string", "enum": ("ReportBatchItemFailures",)},
    "FunctionResponseTypeList": {"type": "list", "min": 0, "max": 1, "member": "FunctionResponseType"},
    "FunctionRuntimeAlias": {"type": "string", "min": 1, "max": 128},
    "FunctionRuntimeArn": {"type": "string", "min": 48, "max": 2048, "pattern":
        "arn:[a-z-]+:lambda:[a-z0-9-]+:\\d{12}:runtime/.+"},
    "FunctionRuntimeConfig": {"type": "structure", "required": ("RuntimeArn", "RuntimeAlias"), "members":
        {"RuntimeArn": "FunctionRuntimeArn", "RuntimeAlias": "FunctionRuntimeAlias"}},
    "FunctionScalingConfig": {"type": "structure", "members": {"MinExecutionEnvironments":
        "FunctionScalingConfigExecutionEnvironments", "MaxExecutionEnvironments":
        "FunctionScalingConfigExecutionEnvironments"}},
    "FunctionScalingConfigExecutionEnvironments": {"type": "integer", "min": 0, "max": 15000},
    "FunctionUrlAuthType": {"type": "string", "enum": ("NONE", "AWS_IAM")},
    "FunctionUrlFunctionName": {"type": "string", "min": 1, "max": 140, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\\d+$)[0-9a-zA-Z-_]+))?"},
    "FunctionUrlQualifier": {"type": "string", "min": 1, "max": 128, "pattern":
        "((?!^\\d+$)^[0-9a-zA-Z-_]+$)"},
    "FunctionVersion": {"type": "string", "enum": ("ALL",)},
    "FunctionVersionLatestPublished": {"type": "string", "enum": ("LATEST_PUBLISHED",)},
    "GetAccountSettingsRequest": {"type": "structure", "members": {}},
    "GetAliasRequest": {"type": "structure", "required": ("FunctionName", "Name"), "members":
        {"FunctionName": "FunctionName", "Name": "Alias"}, "places": {"FunctionName": ("uri",
        "FunctionName"), "Name": ("uri", "Name")}},
    "GetCapacityProviderRequest": {"type": "structure", "required": ("CapacityProviderName",), "members":
        {"CapacityProviderName": "CapacityProviderName"}, "places": {"CapacityProviderName": ("uri",
        "CapacityProviderName")}},
    "GetCodeSigningConfigRequest": {"type": "structure", "required": ("CodeSigningConfigArn",), "members":
        {"CodeSigningConfigArn": "CodeSigningConfigArn"}, "places": {"CodeSigningConfigArn": ("uri",
        "CodeSigningConfigArn")}},
    "GetDurableExecutionHistoryRequest": {"type": "structure", "required": ("DurableExecutionArn",),
        "members": {"DurableExecutionArn": "DurableExecutionArn", "IncludeExecutionData":
        "IncludeExecutionData", "MaxItems": "ItemCount", "Marker": "String", "ReverseOrder":
        "ReverseOrder"}, "places": {"DurableExecutionArn": ("uri", "DurableExecutionArn"),
        "IncludeExecutionData": ("querystring", "IncludeExecutionData"), "MaxItems": ("querystring",
        "MaxItems"), "Marker": ("querystring", "Marker"), "ReverseOrder": ("querystring", "ReverseOrder")}},
    "GetDurableExecutionRequest": {"type": "structure", "required": ("DurableExecutionArn",), "members":
        {"DurableExecutionArn": "DurableExecutionArn", "IncludeExecutionData": "IncludeExecutionData"},
        "places": {"DurableExecutionArn": ("uri", "DurableExecutionArn"), "IncludeExecutionData":
        ("querystring", "IncludeExecutionData")}},
    "GetDurableExecutionStateRequest": {"type": "structure", "required": ("DurableExecutionArn",
        "CheckpointToken"), "members": {"DurableExecutionArn": "DurableExecutionArn", "CheckpointToken":
        "CheckpointToken", "Marker": "String", "MaxItems": "ItemCount"}, "places": {"DurableExecutionArn":
        ("uri", "DurableExecutionArn"), "CheckpointToken": ("querystring", "CheckpointToken"), "Marker":
        ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "GetEventSourceMappingRequest": {"type": "structure", "required": ("UUID",), "members": {"UUID":
        "UUIDString"}, "places": {"UUID": ("uri", "UUID")}},
    "GetFunctionCodeSigningConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "GetFunctionConcurrencyRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionName"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "GetFunctionConfigurationRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetFunctionEventInvokeConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetFunctionRecursionConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "UnqualifiedFunctionName"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "GetFunctionRequest": {"type": "structure", "required": ("FunctionName",), "members": {"FunctionName":
        "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetFunctionScalingConfigRequest": {"type": "structure", "required": ("FunctionName", "Qualifier"),
        "members": {"FunctionName": "UnqualifiedFunctionName", "Qualifier": "PublishedFunctionQualifier"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetFunctionUrlConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionUrlFunctionName", "Qualifier": "FunctionUrlQualifier"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetLayerVersionByArnRequest": {"type": "structure", "required": ("Arn",), "members": {"Arn":
        "LayerVersionArn"}, "places": {"Arn": ("querystring", "Arn")}},
    "GetLayerVersionPolicyRequest": {"type": "structure", "required": ("LayerName", "VersionNumber"),
        "members": {"LayerName": "LayerNameOrArn", "VersionNumber": "LayerVersionNumber"}, "places":
        {"LayerName": ("uri", "LayerName"), "VersionNumber": ("uri", "VersionNumber")}},
    "GetLayerVersionRequest": {"type": "structure", "required": ("LayerName", "VersionNumber"), "members":
        {"LayerName": "LayerNameOrArn", "VersionNumber": "LayerVersionNumber"}, "places": {"LayerName":
        ("uri", "LayerName"), "VersionNumber": ("uri", "VersionNumber")}},
    "GetPolicyRequest": {"type": "structure", "required": ("FunctionName",), "members": {"FunctionName":
        "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetProvisionedConcurrencyConfigRequest": {"type": "structure", "required": ("FunctionName",
        "Qualifier"), "members": {"FunctionName": "FunctionName", "Qualifier": "Qualifier"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "GetResourcePolicyRequest": {"type": "structure", "required": ("ResourceArn",), "members":
        {"ResourceArn": "PolicyResourceArn"}, "places": {"ResourceArn": ("uri", "ResourceArn")}},
    "GetRuntimeManagementConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "Handler": {"type": "string", "min": 0, "max": 128, "pattern": "[^\\s]+"},
    "Header": {"type": "string", "min": 0, "max": 1024, "pattern": ".*"},
    "HeadersList": {"type": "list", "min": 0, "max": 100, "member": "Header"},
    "ImageConfig": {"type": "structure", "members": {"EntryPoint": "StringList", "Command": "StringList",
        "WorkingDirectory": "WorkingDirectory"}},
    "IncludeExecutionData": {"type": "boolean"},
    "InstanceRequirements": {"type": "structure", "members": {"Architectures": "ArchitecturesList",
        "AllowedInstanceTypes": "InstanceTypeSet", "ExcludedInstanceTypes": "InstanceTypeSet"}},
    "InstanceType": {"type": "string", "min": 1, "max": 30, "pattern": "[a-zA-Z0-9\\.\\*\\-]+"},
    "InstanceTypeSet": {"type": "list", "min": 0, "max": 400, "member": "InstanceType"},
    "InvocationRequest": {"type": "structure", "required": ("FunctionName",), "members": {"FunctionName":
        "NamespacedFunctionName", "InvocationType": "InvocationType", "LogType": "LogType", "ClientContext":
        "String", "DurableExecutionName": "DurableExecutionName", "Payload": "Blob", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier", "TenantId": "TenantId"}, "places": {"FunctionName":
        ("uri", "FunctionName"), "InvocationType": ("header", "X-Amz-Invocation-Type"), "LogType":
        ("header", "X-Amz-Log-Type"), "ClientContext": ("header", "X-Amz-Client-Context"),
        "DurableExecutionName": ("header", "X-Amz-Durable-Execution-Name"), "Qualifier": ("querystring",
        "Qualifier"), "TenantId": ("header", "X-Amz-Tenant-Id")}, "payload": "Payload"},
    "InvocationType": {"type": "string", "enum": ("Event", "RequestResponse", "DryRun")},
    "InvokeAsyncRequest": {"type": "structure", "required": ("FunctionName", "InvokeArgs"), "members":
        {"FunctionName": "NamespacedFunctionName", "InvokeArgs": "BlobStream"}, "places": {"FunctionName":
        ("uri", "FunctionName")}, "payload": "InvokeArgs"},
    "InvokeMode": {"type": "string", "enum": ("BUFFERED", "RESPONSE_STREAM")},
    "InvokeWithResponseStreamRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "LogType": "LogType", "ClientContext": "String",
        "Qualifier": "NumericLatestPublishedOrAliasQualifier", "Payload": "Blob", "TenantId": "TenantId",
        "InvocationType": "ResponseStreamingInvocationType"}, "places": {"FunctionName": ("uri",
        "FunctionName"), "LogType": ("header", "X-Amz-Log-Type"), "ClientContext": ("header",
        "X-Amz-Client-Context"), "Qualifier": ("querystring", "Qualifier"), "TenantId": ("header",
        "X-Amz-Tenant-Id"), "InvocationType": ("header", "X-Amz-Invocation-Type")}, "payload": "Payload"},
    "InvokedViaFunctionUrl": {"type": "boolean"},
    "ItemCount": {"type": "integer", "min": 0, "max": 1000},
    "KMSKeyArn": {"type": "string", "min": 0, "max": 10000, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"},
    "KMSKeyArnNonEmpty": {"type": "string", "min": 0, "max": 10000, "pattern":
        "arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*"},
    "KafkaEventSourceMappingConsumptionMode": {"type": "string", "enum": ("Stream", "Queue")},
    "KafkaSchemaRegistryAccessConfig": {"type": "structure", "members": {"Type":
        "KafkaSchemaRegistryAuthType", "URI": "Arn"}},
    "KafkaSchemaRegistryAccessConfigList": {"type": "list", "member": "KafkaSchemaRegistryAccessConfig"},
    "KafkaSchemaRegistryAuthType": {"type": "string", "enum": ("BASIC_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH",
        "SERVER_ROOT_CA_CERTIFICATE", "OAUTHBEARER_AUTH")},
    "KafkaSchemaRegistryConfig": {"type": "structure", "members": {"SchemaRegistryURI": "SchemaRegistryUri",
        "EventRecordFormat": "SchemaRegistryEventRecordFormat", "AccessConfigs":
        "KafkaSchemaRegistryAccessConfigList", "SchemaValidationConfigs":
        "KafkaSchemaValidationConfigList"}},
    "KafkaSchemaValidationAttribute": {"type": "string", "enum": ("KEY", "VALUE")},
    "KafkaSchemaValidationConfig": {"type": "structure", "members": {"Attribute":
        "KafkaSchemaValidationAttribute"}},
    "KafkaSchemaValidationConfigList": {"type": "list", "member": "KafkaSchemaValidationConfig"},
    "LambdaManagedInstancesCapacityProviderConfig": {"type": "structure", "required":
        ("CapacityProviderArn",), "members": {"CapacityProviderArn": "CapacityProviderArn",
        "PerExecutionEnvironmentMaxConcurrency": "PerExecutionEnvironmentMaxConcurrency",
        "ExecutionEnvironmentMemoryGiBPerVCpu": "ExecutionEnvironmentMemoryGiBPerVCpu"}},
    "LayerList": {"type": "list", "member": "LayerVersionArn"},
    "LayerNameOrArn": {"type": "string", "min": 1, "max": 2048, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]{1,140}|[a-zA-Z0-9-_]{1,140})"},
    "LayerPermissionAllowedAction": {"type": "string", "min": 0, "max": 22, "pattern":
        "lambda:GetLayerVersion"},
    "LayerPermissionAllowedPrincipal": {"type": "string", "min": 0, "max": 10000, "pattern":
        "\\d{12}|\\*|arn:(aws[a-zA-Z-]*):iam::\\d{12}:root"},
    "LayerVersionArn": {"type": "string", "min": 1, "max": 2048, "pattern":
        "((arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))"},
    "LayerVersionContentInput": {"type": "structure", "members": {"S3Bucket": "S3Bucket", "S3Key": "S3Key",
        "S3ObjectVersion": "S3ObjectVersion", "S3ObjectStorageMode": "S3ObjectStorageMode", "ZipFile":
        "Blob"}},
    "LayerVersionNumber": {"type": "long"},
    "LicenseInfo": {"type": "string", "min": 0, "max": 512, "pattern": ".*"},
    "ListAliasesRequest": {"type": "structure", "required": ("FunctionName",), "members": {"FunctionName":
        "FunctionName", "FunctionVersion": "VersionWithLatestPublished", "Marker": "String", "MaxItems":
        "MaxListItems"}, "places": {"FunctionName": ("uri", "FunctionName"), "FunctionVersion":
        ("querystring", "FunctionVersion"), "Marker": ("querystring", "Marker"), "MaxItems": ("querystring",
        "MaxItems")}},
    "ListCapacityProvidersRequest": {"type": "structure", "members": {"State": "CapacityProviderState",
        "Marker": "String", "MaxItems": "MaxFiftyListItems"}, "places": {"State": ("querystring", "State"),
        "Marker": ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListCodeSigningConfigsRequest": {"type": "structure", "members": {"Marker": "String", "MaxItems":
        "MaxListItems"}, "places": {"Marker": ("querystring", "Marker"), "MaxItems": ("querystring",
        "MaxItems")}},
    "ListDurableExecutionsByFunctionRequest": {"type": "structure", "required": ("FunctionName",),
        "members": {"FunctionName": "NamespacedFunctionName", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier", "DurableExecutionName": "DurableExecutionName",
        "Statuses": "ExecutionStatusList", "StartedAfter": "ExecutionTimestamp", "StartedBefore":
        "ExecutionTimestamp", "ReverseOrder": "ReverseOrder", "Marker": "String", "MaxItems": "ItemCount"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier"),
        "DurableExecutionName": ("querystring", "DurableExecutionName"), "Statuses": ("querystring",
        "Statuses"), "StartedAfter": ("querystring", "StartedAfter"), "StartedBefore": ("querystring",
        "StartedBefore"), "ReverseOrder": ("querystring", "ReverseOrder"), "Marker": ("querystring",
        "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListEventSourceMappingsRequest": {"type": "structure", "members": {"EventSourceArn": "Arn",
        "FunctionName": "NamespacedFunctionName", "Marker": "String", "MaxItems": "MaxListItems"}, "places":
        {"EventSourceArn": ("querystring", "EventSourceArn"), "FunctionName": ("querystring",
        "FunctionName"), "Marker": ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListFunctionEventInvokeConfigsRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Marker": "String", "MaxItems":
        "MaxFunctionEventInvokeConfigListItems"}, "places": {"FunctionName": ("uri", "FunctionName"),
        "Marker": ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListFunctionUrlConfigsRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionUrlFunctionName", "Marker": "String", "MaxItems": "MaxItems"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Marker": ("querystring", "Marker"), "MaxItems":
        ("querystring", "MaxItems")}},
    "ListFunctionVersionsByCapacityProviderRequest": {"type": "structure", "required":
        ("CapacityProviderName",), "members": {"CapacityProviderName": "CapacityProviderName", "Marker":
        "String", "MaxItems": "MaxFiftyListItems"}, "places": {"CapacityProviderName": ("uri",
        "CapacityProviderName"), "Marker": ("querystring", "Marker"), "MaxItems": ("querystring",
        "MaxItems")}},
    "ListFunctionsByCodeSigningConfigRequest": {"type": "structure", "required": ("CodeSigningConfigArn",),
        "members": {"CodeSigningConfigArn": "CodeSigningConfigArn", "Marker": "String", "MaxItems":
        "MaxListItems"}, "places": {"CodeSigningConfigArn": ("uri", "CodeSigningConfigArn"), "Marker":
        ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListFunctionsRequest": {"type": "structure", "members": {"MasterRegion": "MasterRegion",
        "FunctionVersion": "FunctionVersion", "Marker": "String", "MaxItems": "MaxListItems"}, "places":
        {"MasterRegion": ("querystring", "MasterRegion"), "FunctionVersion": ("querystring",
        "FunctionVersion"), "Marker": ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListLayerVersionsRequest": {"type": "structure", "required": ("LayerName",), "members":
        {"CompatibleArchitecture": "Architecture", "CompatibleRuntime": "Runtime", "LayerName":
        "LayerNameOrArn", "Marker": "String", "MaxItems": "MaxLayerListItems"}, "places":
        {"CompatibleArchitecture": ("querystring", "CompatibleArchitecture"), "CompatibleRuntime":
        ("querystring", "CompatibleRuntime"), "LayerName": ("uri", "LayerName"), "Marker": ("querystring",
        "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListLayersRequest": {"type": "structure", "members": {"CompatibleArchitecture": "Architecture",
        "CompatibleRuntime": "Runtime", "Marker": "String", "MaxItems": "MaxLayerListItems"}, "places":
        {"CompatibleArchitecture": ("querystring", "CompatibleArchitecture"), "CompatibleRuntime":
        ("querystring", "CompatibleRuntime"), "Marker": ("querystring", "Marker"), "MaxItems":
        ("querystring", "MaxItems")}},
    "ListProvisionedConcurrencyConfigsRequest": {"type": "structure", "required": ("FunctionName",),
        "members": {"FunctionName": "FunctionName", "Marker": "String", "MaxItems":
        "MaxProvisionedConcurrencyConfigListItems"}, "places": {"FunctionName": ("uri", "FunctionName"),
        "Marker": ("querystring", "Marker"), "MaxItems": ("querystring", "MaxItems")}},
    "ListTagsRequest": {"type": "structure", "required": ("Resource",), "members": {"Resource":
        "TaggableResource"}, "places": {"Resource": ("uri", "Resource")}},
    "ListVersionsByFunctionRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Marker": "String", "MaxItems": "MaxListItems"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Marker": ("querystring", "Marker"), "MaxItems":
        ("querystring", "MaxItems")}},
    "LocalMountPath": {"type": "string", "min": 0, "max": 160, "pattern": "/mnt/[a-zA-Z0-9-_.]+"},
    "LogFormat": {"type": "string", "enum": ("JSON", "Text")},
    "LogGroup": {"type": "string", "min": 1, "max": 512, "pattern": "[\\.\\-_/#A-Za-z0-9]+"},
    "LogType": {"type": "string", "enum": ("None", "Tail")},
    "LoggingConfig": {"type": "structure", "members": {"LogFormat": "LogFormat", "ApplicationLogLevel":
        "ApplicationLogLevel", "SystemLogLevel": "SystemLogLevel", "LogGroup": "LogGroup"}},
    "MasterRegion": {"type": "string", "min": 1, "max": 50, "pattern":
        "ALL|(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}"},
    "MaxAge": {"type": "integer", "min": 0, "max": 86400},
    "MaxFiftyListItems": {"type": "integer", "min": 1, "max": 50},
    "MaxFunctionEventInvokeConfigListItems": {"type": "integer", "min": 1, "max": 50},
    "MaxItems": {"type": "integer", "min": 1, "max": 50},
    "MaxLayerListItems": {"type": "integer", "min": 1, "max": 50},
    "MaxListItems": {"type": "integer", "min": 1, "max": 10000},
    "MaxProvisionedConcurrencyConfigListItems": {"type": "integer", "min": 1, "max": 50},
    "MaximumBatchingWindowInSeconds": {"type": "integer", "min": 0, "max": 300},
    "MaximumConcurrency": {"type": "integer", "min": 2, "max": 1000},
    "MaximumEventAgeInSeconds": {"type": "integer", "min": 60, "max": 21600},
    "MaximumNumberOfPollers": {"type": "integer", "min": 1, "max": 10000},
    "MaximumRecordAgeInSeconds": {"type": "integer", "min": -1, "max": 604800},
    "MaximumRetryAttempts": {"type": "integer", "min": 0, "max": 2},
    "MaximumRetryAttemptsEventSourceMapping": {"type": "integer", "min": -1, "max": 10000},
    "MemorySize": {"type": "integer", "min": 128, "max": 32768},
    "Method": {"type": "string", "min": 0, "max": 6, "pattern": ".*"},
    "MetricTargetValue": {"type": "double", "min": 0, "max": 100},
    "MinimumNumberOfPollers": {"type": "integer", "min": 1, "max": 200},
    "NamespacedFunctionName": {"type": "string", "min": 1, "max": 256, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"},
    "NamespacedStatementId": {"type": "string", "min": 1, "max": 100, "pattern": "([a-zA-Z0-9-_.]+)"},
    "NullableBoolean": {"type": "boolean"},
    "NumericLatestPublishedOrAliasQualifier": {"type": "string", "min": 1, "max": 128, "pattern":
        "\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"},
    "OnFailure": {"type": "structure", "members": {"Destination": "DestinationArn"}},
    "OnSuccess": {"type": "structure", "members": {"Destination": "DestinationArn"}},
    "OperationAction": {"type": "string", "enum": ("START", "SUCCEED", "FAIL", "RETRY", "CANCEL")},
    "OperationId": {"type": "string", "min": 1, "max": 64, "pattern": "[a-zA-Z0-9-_]+"},
    "OperationName": {"type": "string", "min": 1, "max": 256, "pattern": "[\\x20-\\x7E]+"},
    "OperationPayload": {"type": "string", "min": 0, "max": 6291456},
    "OperationSubType": {"type": "string", "min": 1, "max": 32, "pattern": "[a-zA-Z0-9-_]+"},
    "OperationType": {"type": "string", "enum": ("EXECUTION", "CONTEXT", "STEP", "WAIT", "CALLBACK",
        "CHAINED_INVOKE")},
    "OperationUpdate": {"type": "structure", "required": ("Id", "Type", "Action"), "members": {"Id":
        "OperationId", "ParentId": "OperationId", "Name": "OperationName", "Type": "OperationType",
        "SubType": "OperationSubType", "Action": "OperationAction", "Payload": "OperationPayload", "Error":
        "ErrorObject", "ContextOptions": "ContextOptions", "StepOptions": "StepOptions", "WaitOptions":
        "WaitOptions", "CallbackOptions": "CallbackOptions", "ChainedInvokeOptions":
        "ChainedInvokeOptions"}},
    "OperationUpdates": {"type": "list", "member": "OperationUpdate"},
    "OrganizationId": {"type": "string", "min": 0, "max": 34, "pattern": "o-[a-z0-9]{10,32}"},
    "Origin": {"type": "string", "min": 1, "max": 253, "pattern": ".*"},
    "PackageType": {"type": "string", "enum": ("Zip", "Image")},
    "ParallelizationFactor": {"type": "integer", "min": 1, "max": 10},
    "Pattern": {"type": "string", "min": 0, "max": 4096, "pattern": "[\\s\\S]*"},
    "PauseDurableExecutionRequest": {"type": "structure", "required": ("DurableExecutionArn",), "members":
        {"DurableExecutionArn": "DurableExecutionArn", "ClientToken": "ClientToken", "Reason":
        "PauseReason", "ExecutionTimeoutPaused": "ExecutionTimeoutPaused"}, "places":
        {"DurableExecutionArn": ("uri", "DurableExecutionArn")}},
    "PauseReason": {"type": "string", "min": 0, "max": 1024},
    "PerExecutionEnvironmentMaxConcurrency": {"type": "integer", "min": 1, "max": 1600},
    "PolicyResourceArn": {"type": "string", "min": 0, "max": 512, "pattern":
        "arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_])+)?|runtime/[a-zA-Z0-9-_./]+)"},
    "PositiveInteger": {"type": "integer", "min": 1},
    "Principal": {"type": "string", "min": 0, "max": 2048, "pattern": "[^\\s]+"},
    "PrincipalOrgID": {"type": "string", "min": 12, "max": 34, "pattern": "o-[a-z0-9]{10,32}"},
    "PropagateTags": {"type": "structure", "members": {"Mode": "PropagateTagsMode", "ExplicitTags":
        "PropagateTagsExplicitTagsMap"}},
    "PropagateTagsExplicitTagsMap": {"type": "map", "min": 0, "max": 40, "key": "TagKey", "value":
        "TagValue"},
    "PropagateTagsMode": {"type": "string", "enum": ("None", "Explicit")},
    "ProvisionedPollerConfig": {"type": "structure", "members": {"MinimumPollers": "MinimumNumberOfPollers",
        "MaximumPollers": "MaximumNumberOfPollers", "PollerGroupName": "ProvisionedPollerGroupName"}},
    "ProvisionedPollerGroupName": {"type": "string", "min": 0, "max": 128, "pattern": "[a-zA-Z0-9-_]*"},
    "PublishLayerVersionRequest": {"type": "structure", "required": ("LayerName", "Content"), "members":
        {"LayerName": "LayerNameOrArn", "Description": "Description", "Content": "LayerVersionContentInput",
        "CompatibleArchitectures": "CompatibleArchitectures", "CompatibleRuntimes": "CompatibleRuntimes",
        "LicenseInfo": "LicenseInfo"}, "places": {"LayerName": ("uri", "LayerName")}},
    "PublishVersionRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionName", "CodeSha256": "String", "Description": "Description", "RevisionId":
        "String", "PublishTo": "FunctionVersionLatestPublished"}, "places": {"FunctionName": ("uri",
        "FunctionName")}},
    "PublishedFunctionQualifier": {"type": "string", "min": 1, "max": 128, "pattern":
        "(\\$LATEST\\.PUBLISHED|[0-9]+)"},
    "PutFunctionCodeSigningConfigRequest": {"type": "structure", "required": ("CodeSigningConfigArn",
        "FunctionName"), "members": {"CodeSigningConfigArn": "CodeSigningConfigArn", "FunctionName":
        "NamespacedFunctionName"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "PutFunctionConcurrencyRequest": {"type": "structure", "required": ("FunctionName",
        "ReservedConcurrentExecutions"), "members": {"FunctionName": "FunctionName",
        "ReservedConcurrentExecutions": "ReservedConcurrentExecutions"}, "places": {"FunctionName": ("uri",
        "FunctionName")}},
    "PutFunctionEventInvokeConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "NamespacedFunctionName", "Qualifier": "NumericLatestPublishedOrAliasQualifier",
        "MaximumRetryAttempts": "MaximumRetryAttempts", "MaximumEventAgeInSeconds":
        "MaximumEventAgeInSeconds", "DestinationConfig": "DestinationConfig"}, "places": {"FunctionName":
        ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "PutFunctionRecursionConfigRequest": {"type": "structure", "required": ("FunctionName",
        "RecursiveLoop"), "members": {"FunctionName": "UnqualifiedFunctionName", "RecursiveLoop":
        "RecursiveLoop"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "PutFunctionScalingConfigRequest": {"type": "structure", "required": ("FunctionName", "Qualifier"),
        "members": {"FunctionName": "UnqualifiedFunctionName", "Qualifier": "PublishedFunctionQualifier",
        "FunctionScalingConfig": "FunctionScalingConfig"}, "places": {"FunctionName": ("uri",
        "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "PutProvisionedConcurrencyConfigRequest": {"type": "structure", "required": ("FunctionName",
        "Qualifier", "ProvisionedConcurrentExecutions"), "members": {"FunctionName": "FunctionName",
        "Qualifier": "Qualifier", "ProvisionedConcurrentExecutions": "PositiveInteger"}, "places":
        {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "PutResourcePolicyRequest": {"type": "structure", "required": ("ResourceArn", "Policy"), "members":
        {"ResourceArn": "PolicyResourceArn", "Policy": "ResourcePolicy", "RevisionId": "RevisionId"},
        "places": {"ResourceArn": ("uri", "ResourceArn")}},
    "PutRuntimeManagementConfigRequest": {"type": "structure", "required": ("FunctionName",
        "UpdateRuntimeOn"), "members": {"FunctionName": "NamespacedFunctionName", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier", "UpdateRuntimeOn": "UpdateRuntimeOn", "RuntimeVersionArn":
        "RuntimeVersionArn"}, "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier":
        ("querystring", "Qualifier")}},
    "Qualifier": {"type": "string", "min": 1, "max": 128, "pattern": "(|[a-zA-Z0-9$_-]+)"},
    "Queue": {"type": "string", "min": 1, "max": 1000, "pattern": "[\\s\\S]*"},
    "Queues": {"type": "list", "min": 1, "max": 1, "member": "Queue"},
    "RecursiveLoop": {"type": "string", "enum": ("Allow", "Terminate")},
    "RemoveLayerVersionPermissionRequest": {"type": "structure", "required": ("LayerName", "VersionNumber",
        "StatementId"), "members": {"LayerName": "LayerNameOrArn", "VersionNumber": "LayerVersionNumber",
        "StatementId": "StatementId", "RevisionId": "String"}, "places": {"LayerName": ("uri", "LayerName"),
        "VersionNumber": ("uri", "VersionNumber"), "StatementId": ("uri", "StatementId"), "RevisionId":
        ("querystring", "RevisionId")}},
    "RemovePermissionRequest": {"type": "structure", "required": ("FunctionName", "StatementId"), "members":
        {"FunctionName": "NamespacedFunctionName", "StatementId": "NamespacedStatementId", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier", "RevisionId": "String"}, "places": {"FunctionName":
        ("uri", "FunctionName"), "StatementId": ("uri", "StatementId"), "Qualifier": ("querystring",
        "Qualifier"), "RevisionId": ("querystring", "RevisionId")}},
    "ReplayChildren": {"type": "boolean"},
    "ReservedConcurrentExecutions": {"type": "integer", "min": 0},
    "ResourceArn": {"type": "string", "min": 0, "max": 10000, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"},
    "ResourcePolicy": {"type": "string", "min": 1, "max": 20480, "pattern": "[\\s\\S]+"},
    "ResponseStreamingInvocationType": {"type": "string", "enum": ("RequestResponse", "DryRun")},
    "ResumeDurableExecutionRequest": {"type": "structure", "required": ("DurableExecutionArn",), "members":
        {"DurableExecutionArn": "DurableExecutionArn", "ClientToken": "ClientToken", "Reason":
        "ResumeReason"}, "places": {"DurableExecutionArn": ("uri", "DurableExecutionArn")}},
    "ResumeReason": {"type": "string", "min": 0, "max": 1024},
    "RetentionPeriodInDays": {"type": "integer", "min": 1, "max": 90},
    "ReverseOrder": {"type": "boolean"},
    "RevisionId": {"type": "string", "min": 36, "max": 36, "pattern":
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
    "RoleArn": {"type": "string", "min": 0, "max": 10000, "pattern":
        "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"},
    "Runtime": {"type": "string", "enum": ("nodejs", "nodejs4.3", "nodejs6.10", "nodejs8.10", "nodejs10.x",
        "nodejs12.x", "nodejs14.x", "nodejs16.x", "nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x",
        "java8", "java8.al2", "java11", "java17", "java21", "java25", "python2.7", "python3.6", "python3.7",
        "python3.8", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14",
        "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet6", "dotnet8",
        "dotnet10", "nodejs4.3-edge", "go1.x", "ruby2.5", "ruby2.7", "ruby3.2", "ruby3.3", "ruby3.4",
        "ruby4.0", "provided", "provided.al2", "provided.al2023", "nodejs26.x", "python3.15",
        "java8.al2023", "java11.al2023", "java17.al2023", "custom")},
    "RuntimeVersionArn": {"type": "string", "min": 26, "max": 2048, "pattern":
        "((arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}::runtime:.+)|(arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:runtime/[A-Za-z0-9_.-]{1,128}/version/[A-Za-z0-9_.-]{1,128}))"},
    "S3Bucket": {"type": "string", "min": 3, "max": 63, "pattern": "[0-9A-Za-z\\.\\-_]*(?<!\\.)"},
    "S3FilesConfig": {"type": "structure", "members": {"DirectS3Read": "DirectS3Read"}},
    "S3Key": {"type": "string", "min": 1, "max": 1024, "pattern": ".*"},
    "S3ObjectStorageMode": {"type": "string", "enum": ("COPY", "REFERENCE")},
    "S3ObjectVersion": {"type": "string", "min": 1, "max": 1024, "pattern": ".*"},
    "ScalingConfig": {"type": "structure", "members": {"MaximumConcurrency": "MaximumConcurrency"}},
    "SchemaRegistryEventRecordFormat": {"type": "string", "enum": ("JSON", "SOURCE")},
    "SchemaRegistryUri": {"type": "string", "min": 1, "max": 10000, "pattern": "[a-zA-Z0-9-\\/*:_+=.@-]*"},
    "SecurityGroupId": {"type": "string", "min": 0, "max": 1024, "pattern": "sg-[0-9a-zA-Z]*"},
    "SecurityGroupIds": {"type": "list", "min": 0, "max": 5, "member": "SecurityGroupId"},
    "SelfManagedEventSource": {"type": "structure", "members": {"Endpoints": "Endpoints"}},
    "SelfManagedKafkaEventSourceConfig": {"type": "structure", "members": {"ConsumerGroupId": "URI",
        "SchemaRegistryConfig": "KafkaSchemaRegistryConfig", "ConsumptionMode":
        "KafkaEventSourceMappingConsumptionMode"}},
    "SendDurableExecutionCallbackFailureRequest": {"type": "structure", "required": ("CallbackId",),
        "members": {"CallbackId": "CallbackId", "Error": "ErrorObject"}, "places": {"CallbackId": ("uri",
        "CallbackId")}, "payload": "Error"},
    "SendDurableExecutionCallbackHeartbeatRequest": {"type": "structure", "required": ("CallbackId",),
        "members": {"CallbackId": "CallbackId"}, "places": {"CallbackId": ("uri", "CallbackId")}},
    "SendDurableExecutionCallbackSuccessRequest": {"type": "structure", "required": ("CallbackId",),
        "members": {"CallbackId": "CallbackId", "Result": "BinaryOperationPayload"}, "places":
        {"CallbackId": ("uri", "CallbackId")}, "payload": "Result"},
    "SigningProfileVersionArns": {"type": "list", "min": 1, "max": 20, "member": "Arn"},
    "SnapStart": {"type": "structure", "members": {"ApplyOn": "SnapStartApplyOn"}},
    "SnapStartApplyOn": {"type": "string", "enum": ("PublishedVersions", "None")},
    "SourceAccessConfiguration": {"type": "structure", "members": {"Type": "SourceAccessType", "URI":
        "URI"}},
    "SourceAccessConfigurations": {"type": "list", "min": 0, "max": 23, "member":
        "SourceAccessConfiguration"},
    "SourceAccessType": {"type": "string", "enum": ("BASIC_AUTH", "VPC_SUBNET", "VPC_SECURITY_GROUP",
        "SASL_SCRAM_512_AUTH", "SASL_SCRAM_256_AUTH", "VIRTUAL_HOST", "CLIENT_CERTIFICATE_TLS_AUTH",
        "SERVER_ROOT_CA_CERTIFICATE", "OAUTHBEARER_AUTH", "OAUTHBEARER_SCOPE", "OAUTHBEARER_AUDIENCE",
        "OAUTHBEARER_LOGICAL_CLUSTER", "OAUTHBEARER_IDENTITY_POOL", "IAM_AUTH", "IAM_OAUTHBEARER_AUTH")},
    "SourceOwner": {"type": "string", "min": 0, "max": 12, "pattern": "\\d{12}"},
    "StackTraceEntries": {"type": "list", "member": "StackTraceEntry"},
    "StackTraceEntry": {"type": "string"},
    "StatementId": {"type": "string", "min": 1, "max": 100, "pattern": "([a-zA-Z0-9-_]+)"},
    "StepOptions": {"type": "structure", "members": {"NextAttemptDelaySeconds":
        "StepOptionsNextAttemptDelaySecondsInteger"}},
    "StepOptionsNextAttemptDelaySecondsInteger": {"type": "integer", "min": 1, "max": 31622400},
    "StopDurableExecutionRequest": {"type": "structure", "required": ("DurableExecutionArn",), "members":
        {"DurableExecutionArn": "DurableExecutionArn", "Error": "ErrorObject"}, "places":
        {"DurableExecutionArn": ("uri", "DurableExecutionArn")}, "payload": "Error"},
    "String": {"type": "string"},
    "StringList": {"type": "list", "min": 0, "max": 1500, "member": "String"},
    "SubnetId": {"type": "string", "min": 0, "max": 1024, "pattern": "subnet-[0-9a-z]*"},
    "SubnetIds": {"type": "list", "min": 0, "max": 16, "member": "SubnetId"},
    "SystemLogLevel": {"type": "string", "enum": ("DEBUG", "INFO", "WARN")},
    "TagKey": {"type": "string", "min": 1, "max": 128, "pattern": "([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)"},
    "TagKeyList": {"type": "list", "member": "TagKey"},
    "TagResourceRequest": {"type": "structure", "required": ("Resource", "Tags"), "members": {"Resource":
        "TaggableResource", "Tags": "Tags"}, "places": {"Resource": ("uri", "Resource")}},
    "TagValue": {"type": "string", "min": 0, "max": 256, "pattern": "([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)"},
    "TaggableResource": {"type": "string", "min": 1, "max": 10000, "pattern":
        "arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})"},
    "Tags": {"type": "map", "key": "TagKey", "value": "TagValue"},
    "TargetTrackingScalingPolicy": {"type": "structure", "required": ("PredefinedMetricType",
        "TargetValue"), "members": {"PredefinedMetricType": "CapacityProviderPredefinedMetricType",
        "TargetValue": "MetricTargetValue"}},
    "TenancyConfig": {"type": "structure", "required": ("TenantIsolationMode",), "members":
        {"TenantIsolationMode": "TenantIsolationMode"}},
    "TenantId": {"type": "string", "min": 1, "max": 256, "pattern": "[a-zA-Z0-9\\._:\\/=+\\-@\x20]+"},
    "TenantIsolationMode": {"type": "string", "enum": ("PER_TENANT",)},
    "Timeout": {"type": "integer", "min": 1, "max": 5400},
    "Topic": {"type": "string", "min": 1, "max": 249, "pattern": "[^.]([a-zA-Z0-9\\-_.]+)"},
    "Topics": {"type": "list", "min": 1, "max": 1, "member": "Topic"},
    "TracingConfig": {"type": "structure", "members": {"Mode": "TracingMode"}},
    "TracingMode": {"type": "string", "enum": ("Active", "PassThrough")},
    "TumblingWindowInSeconds": {"type": "integer", "min": 0, "max": 900},
    "URI": {"type": "string", "min": 1, "max": 200, "pattern": "[\x20a-zA-Z0-9-\\/*:_+=.@-]*"},
    "UUIDString": {"type": "string", "min": 36, "max": 36},
    "UnqualifiedFunctionName": {"type": "string", "min": 1, "max": 140, "pattern":
        "(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)"},
    "UntagResourceRequest": {"type": "structure", "required": ("Resource", "TagKeys"), "members":
        {"Resource": "TaggableResource", "TagKeys": "TagKeyList"}, "places": {"Resource": ("uri",
        "Resource"), "TagKeys": ("querystring", "tagKeys")}},
    "UpdateAliasRequest": {"type": "structure", "required": ("FunctionName", "Name"), "members":
        {"FunctionName": "FunctionName", "Name": "Alias", "FunctionVersion": "VersionWithLatestPublished",
        "Description": "Description", "RoutingConfig": "AliasRoutingConfiguration", "RevisionId": "String"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Name": ("uri", "Name")}},
    "UpdateCapacityProviderRequest": {"type": "structure", "required": ("CapacityProviderName",), "members":
        {"CapacityProviderName": "CapacityProviderName", "CapacityProviderScalingConfig":
        "CapacityProviderScalingConfig", "PropagateTags": "PropagateTags", "TelemetryConfig":
        "CapacityProviderTelemetryConfig"}, "places": {"CapacityProviderName": ("uri",
        "CapacityProviderName")}},
    "UpdateCodeSigningConfigRequest": {"type": "structure", "required": ("CodeSigningConfigArn",),
        "members": {"CodeSigningConfigArn": "CodeSigningConfigArn", "Description": "Description",
        "AllowedPublishers": "AllowedPublishers", "CodeSigningPolicies": "CodeSigningPolicies"}, "places":
        {"CodeSigningConfigArn": ("uri", "CodeSigningConfigArn")}},
    "UpdateEventSourceMappingRequest": {"type": "structure", "required": ("UUID",), "members": {"UUID":
        "UUIDString", "FunctionName": "NamespacedFunctionName", "Enabled": "Enabled", "BatchSize":
        "BatchSize", "FilterCriteria": "FilterCriteria", "KMSKeyArn": "KMSKeyArn", "MetricsConfig":
        "EventSourceMappingMetricsConfig", "LoggingConfig": "EventSourceMappingLoggingConfig",
        "ScalingConfig": "ScalingConfig", "MaximumBatchingWindowInSeconds":
        "MaximumBatchingWindowInSeconds", "ParallelizationFactor": "ParallelizationFactor",
        "DestinationConfig": "DestinationConfig", "MaximumRecordAgeInSeconds": "MaximumRecordAgeInSeconds",
        "BisectBatchOnFunctionError": "BisectBatchOnFunctionError", "MaximumRetryAttempts":
        "MaximumRetryAttemptsEventSourceMapping", "TumblingWindowInSeconds": "TumblingWindowInSeconds",
        "SourceAccessConfigurations": "SourceAccessConfigurations", "FunctionResponseTypes":
        "FunctionResponseTypeList", "AmazonManagedKafkaEventSourceConfig":
        "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig":
        "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig": "DocumentDBEventSourceConfig",
        "ProvisionedPollerConfig": "ProvisionedPollerConfig"}, "places": {"UUID": ("uri", "UUID")}},
    "UpdateFunctionCodeRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionName", "ZipFile": "Blob", "S3Bucket": "S3Bucket", "S3Key": "S3Key",
        "S3ObjectVersion": "S3ObjectVersion", "S3ObjectStorageMode": "S3ObjectStorageMode", "ImageUri":
        "String", "Architectures": "ArchitecturesList", "Publish": "Boolean", "PublishTo":
        "FunctionVersionLatestPublished", "DryRun": "Boolean", "RevisionId": "String", "SourceKMSKeyArn":
        "KMSKeyArn"}, "places": {"FunctionName": ("uri", "FunctionName")}},
    "UpdateFunctionConfigurationRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionName", "Role": "RoleArn", "Handler": "Handler", "Description":
        "Description", "Timeout": "Timeout", "MemorySize": "MemorySize", "VpcConfig": "VpcConfig",
        "Environment": "Environment", "Runtime": "Runtime", "DeadLetterConfig": "DeadLetterConfig",
        "KMSKeyArn": "KMSKeyArn", "TracingConfig": "TracingConfig", "RevisionId": "String", "Layers":
        "LayerList", "FileSystemConfigs": "FileSystemConfigList", "ImageConfig": "ImageConfig",
        "EphemeralStorage": "EphemeralStorage", "SnapStart": "SnapStart", "LoggingConfig": "LoggingConfig",
        "CapacityProviderConfig": "CapacityProviderConfig", "DurableConfig": "DurableConfig",
        "RuntimeConfig": "FunctionRuntimeConfig", "AcceleratorConfig": "AcceleratorConfig"}, "places":
        {"FunctionName": ("uri", "FunctionName")}},
    "UpdateFunctionEventInvokeConfigRequest": {"type": "structure", "required": ("FunctionName",),
        "members": {"FunctionName": "NamespacedFunctionName", "Qualifier":
        "NumericLatestPublishedOrAliasQualifier", "MaximumRetryAttempts": "MaximumRetryAttempts",
        "MaximumEventAgeInSeconds": "MaximumEventAgeInSeconds", "DestinationConfig": "DestinationConfig"},
        "places": {"FunctionName": ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "UpdateFunctionUrlConfigRequest": {"type": "structure", "required": ("FunctionName",), "members":
        {"FunctionName": "FunctionUrlFunctionName", "Qualifier": "FunctionUrlQualifier", "AuthType":
        "FunctionUrlAuthType", "Cors": "Cors", "InvokeMode": "InvokeMode"}, "places": {"FunctionName":
        ("uri", "FunctionName"), "Qualifier": ("querystring", "Qualifier")}},
    "UpdateRuntimeOn": {"type": "string", "enum": ("Auto", "Manual", "FunctionUpdate")},
    "VersionWithLatestPublished": {"type": "string", "min": 1, "max": 1024, "pattern":
        "(\\$LATEST(\\.PUBLISHED)?|[0-9]+)"},
    "VpcConfig": {"type": "structure", "members": {"SubnetIds": "SubnetIds", "SecurityGroupIds":
        "SecurityGroupIds", "Ipv6AllowedForDualStack": "NullableBoolean"}},
    "WaitOptions": {"type": "structure", "members": {"WaitSeconds": "WaitOptionsWaitSecondsInteger"}},
    "WaitOptionsWaitSecondsInteger": {"type": "integer", "min": 1, "max": 31622400},
    "Weight": {"type": "double", "min": 0.0, "max": 1.0},
    "WorkingDirectory": {"type": "string", "min": 0, "max": 1000},
    "XAmznTraceId": {"type": "string", "min": 0, "max": 8192},
}
