// Written by `cargo xtask generate`.
//! What requests to the control service are validated against.

use crate::pattern::Pattern;
use crate::shape::{Kind, Length, Location, Member, Payload, Range, Shape, Structure, TimestampFormat};

pub(super) static ADVERTISED_SCOPE_MAPPING_TYPE: Shape = Shape {
    name: "AdvertisedScopeMappingType",
    kind: Kind::Map {
        key: &ALLOWED_SCOPE_TYPE,
        value: &ALLOWED_SCOPE_TYPE,
        length: Length {
            min: Some(1),
            max: Some(50),
        },
    },
    sensitive: false,
};
pub(super) static AGENT_ENDPOINT_DESCRIPTION: Shape = Shape {
    name: "AgentEndpointDescription",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(256),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_MANAGED_RUNTIME_TYPE: Shape = Shape {
    name: "AgentManagedRuntimeType",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &[
            "PYTHON_3_10",
            "PYTHON_3_11",
            "PYTHON_3_12",
            "PYTHON_3_13",
            "PYTHON_3_14",
            "NODE_22",
        ],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME: Shape = Shape {
    name: "AgentRuntime",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeName",
                shape: &AGENT_RUNTIME_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &DESCRIPTION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lastUpdatedAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_STATUS,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ARN: Shape = Shape {
    name: "AgentRuntimeArn",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}",
            r"\A(?:arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ARTIFACT: Shape = Shape {
    name: "AgentRuntimeArtifact",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "containerConfiguration",
                shape: &CONTAINER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "codeConfiguration",
                shape: &CODE_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: Some("AgentArtifact must have exactly one configuration"),
    }),
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ENDPOINT: Shape = Shape {
    name: "AgentRuntimeEndpoint",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "name",
                shape: &ENDPOINT_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "liveVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "targetVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeEndpointArn",
                shape: &AGENT_RUNTIME_ENDPOINT_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_ENDPOINT_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "id",
                shape: &AGENT_RUNTIME_ENDPOINT_ID,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &AGENT_ENDPOINT_DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lastUpdatedAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ENDPOINT_ARN: Shape = Shape {
    name: "AgentRuntimeEndpointArn",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}/runtime-endpoint/[a-zA-Z][a-zA-Z0-9_]{0,47}",
            r"\A(?:arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}/runtime-endpoint/[a-zA-Z][a-zA-Z0-9_]{0,47})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ENDPOINT_ID: Shape = Shape {
    name: "AgentRuntimeEndpointId",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"[a-zA-Z][a-zA-Z0-9_]{0,99}-[a-zA-Z0-9]{10}",
            r"\A(?:[a-zA-Z][a-zA-Z0-9_]{0,99}-[a-zA-Z0-9]{10})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ENDPOINT_STATUS: Shape = Shape {
    name: "AgentRuntimeEndpointStatus",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &[
            "CREATING",
            "CREATE_FAILED",
            "UPDATING",
            "UPDATE_FAILED",
            "READY",
            "DELETING",
            "DELETE_FAILED",
        ],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ENDPOINTS: Shape = Shape {
    name: "AgentRuntimeEndpoints",
    kind: Kind::List {
        item: &AGENT_RUNTIME_ENDPOINT,
        length: Length { min: None, max: None },
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_ID: Shape = Shape {
    name: "AgentRuntimeId",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"[a-zA-Z][a-zA-Z0-9_]{0,99}-[a-zA-Z0-9]{10}",
            r"\A(?:[a-zA-Z][a-zA-Z0-9_]{0,99}-[a-zA-Z0-9]{10})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_NAME: Shape = Shape {
    name: "AgentRuntimeName",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"[a-zA-Z][a-zA-Z0-9_]{0,47}",
            r"\A(?:[a-zA-Z][a-zA-Z0-9_]{0,47})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_STATUS: Shape = Shape {
    name: "AgentRuntimeStatus",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &[
            "CREATING",
            "CREATE_FAILED",
            "UPDATING",
            "UPDATE_FAILED",
            "READY",
            "DELETING",
            "DELETE_FAILED",
        ],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIME_VERSION: Shape = Shape {
    name: "AgentRuntimeVersion",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(5),
        },
        pattern: Some(Pattern::new(r"([1-9][0-9]{0,4})", r"\A(?:([1-9][0-9]{0,4}))\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static AGENT_RUNTIMES: Shape = Shape {
    name: "AgentRuntimes",
    kind: Kind::List {
        item: &AGENT_RUNTIME,
        length: Length { min: None, max: None },
    },
    sensitive: false,
};
pub(super) static ALLOWED_AUDIENCE: Shape = Shape {
    name: "AllowedAudience",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static ALLOWED_AUDIENCE_LIST: Shape = Shape {
    name: "AllowedAudienceList",
    kind: Kind::List {
        item: &ALLOWED_AUDIENCE,
        length: Length {
            min: Some(1),
            max: None,
        },
    },
    sensitive: false,
};
pub(super) static ALLOWED_CLIENT: Shape = Shape {
    name: "AllowedClient",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static ALLOWED_CLIENTS_LIST: Shape = Shape {
    name: "AllowedClientsList",
    kind: Kind::List {
        item: &ALLOWED_CLIENT,
        length: Length {
            min: Some(1),
            max: None,
        },
    },
    sensitive: false,
};
pub(super) static ALLOWED_PORT: Shape = Shape {
    name: "AllowedPort",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "port",
                shape: &PORT,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "portRange",
                shape: &PORT_RANGE,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [port, portRange]"),
    }),
    sensitive: false,
};
pub(super) static ALLOWED_PORTS: Shape = Shape {
    name: "AllowedPorts",
    kind: Kind::List {
        item: &ALLOWED_PORT,
        length: Length {
            min: Some(1),
            max: Some(5),
        },
    },
    sensitive: false,
};
pub(super) static ALLOWED_SCOPE_TYPE: Shape = Shape {
    name: "AllowedScopeType",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(255),
        },
        pattern: Some(Pattern::new(
            r"[\x21\x23-\x5B\x5D-\x7E]+",
            r"\A(?:[\x21\x23-\x5B\x5D-\x7E]+)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static ALLOWED_SCOPES_TYPE: Shape = Shape {
    name: "AllowedScopesType",
    kind: Kind::List {
        item: &ALLOWED_SCOPE_TYPE,
        length: Length {
            min: Some(1),
            max: None,
        },
    },
    sensitive: false,
};
pub(super) static ALLOWED_WORKLOAD_CONFIGURATION: Shape = Shape {
    name: "AllowedWorkloadConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "hostingEnvironments",
                shape: &HOSTING_ENVIRONMENT_LIST_TYPE,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "workloadIdentities",
                shape: &WORKLOAD_IDENTITY_NAME_LIST_TYPE,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static AUTHORIZER_CONFIGURATION: Shape = Shape {
    name: "AuthorizerConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "customJWTAuthorizer",
            shape: &CUSTOM_JWT_AUTHORIZER_CONFIGURATION,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [customJWTAuthorizer]"),
    }),
    sensitive: false,
};
pub(super) static AUTHORIZING_CLAIM_MATCH_VALUE_TYPE: Shape = Shape {
    name: "AuthorizingClaimMatchValueType",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "claimMatchValue",
                shape: &CLAIM_MATCH_VALUE_TYPE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "claimMatchOperator",
                shape: &CLAIM_MATCH_OPERATOR_TYPE,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static BEDROCK_AGENTCORE_RESOURCE_ARN: Shape = Shape {
    name: "BedrockAgentcoreResourceArn",
    kind: Kind::String {
        length: Length {
            min: Some(20),
            max: Some(1011),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static BOOLEAN: Shape = Shape {
    name: "Boolean",
    kind: Kind::Boolean,
    sensitive: false,
};
pub(super) static BUILD_LIFECYCLE_HOOKS: Shape = Shape {
    name: "BuildLifecycleHooks",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "warmup",
            shape: &LIFECYCLE_HOOK,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CAPACITY_PROVIDER_ARN: Shape = Shape {
    name: "CapacityProviderArn",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:capacity-provider/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}",
            r"\A(?:arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:capacity-provider/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static CAPACITY_PROVIDER_CONFIGURATION: Shape = Shape {
    name: "CapacityProviderConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "capacityProviderArn",
            shape: &CAPACITY_PROVIDER_ARN,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CAPACITY_PROVIDER_VOLUME_CONFIGURATION: Shape = Shape {
    name: "CapacityProviderVolumeConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "volumeName",
                shape: &CAPACITY_PROVIDER_VOLUME_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "mountPath",
                shape: &MOUNT_PATH,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CAPACITY_PROVIDER_VOLUME_NAME: Shape = Shape {
    name: "CapacityProviderVolumeName",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(48),
        },
        pattern: Some(Pattern::new(
            r"[a-zA-Z][a-zA-Z0-9_-]{0,47}",
            r"\A(?:[a-zA-Z][a-zA-Z0-9_-]{0,47})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static CERTIFICATE_BUCKET_OWNER_ACCOUNT_ID: Shape = Shape {
    name: "CertificateBucketOwnerAccountId",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(r"[0-9]{12}", r"\A(?:[0-9]{12})\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static CERTIFICATE_CONFIGURATION: Shape = Shape {
    name: "CertificateConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "s3",
                shape: &S3_CERTIFICATE_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "secretsManager",
                shape: &SECRETS_MANAGER_CERTIFICATE_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [s3, secretsManager]"),
    }),
    sensitive: false,
};
pub(super) static CERTIFICATE_CONFIGURATION_LIST: Shape = Shape {
    name: "CertificateConfigurationList",
    kind: Kind::List {
        item: &CERTIFICATE_CONFIGURATION,
        length: Length {
            min: Some(1),
            max: Some(1),
        },
    },
    sensitive: false,
};
pub(super) static CERTIFICATE_S3_URI: Shape = Shape {
    name: "CertificateS3Uri",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(r"s3://.{1,2043}", r"\A(?:s3://.{1,2043})\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static CERTIFICATE_SECRET_ARN: Shape = Shape {
    name: "CertificateSecretArn",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"arn:aws(-[^:]+)?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+",
            r"\A(?:arn:aws(-[^:]+)?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static CLAIM_MATCH_OPERATOR_TYPE: Shape = Shape {
    name: "ClaimMatchOperatorType",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &["EQUALS", "CONTAINS", "CONTAINS_ANY"],
    },
    sensitive: false,
};
pub(super) static CLAIM_MATCH_VALUE_TYPE: Shape = Shape {
    name: "ClaimMatchValueType",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "matchValueString",
                shape: &MATCH_VALUE_STRING,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "matchValueStringList",
                shape: &MATCH_VALUE_STRING_LIST,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [matchValueString, matchValueStringList]"),
    }),
    sensitive: false,
};
pub(super) static CLIENT_TOKEN: Shape = Shape {
    name: "ClientToken",
    kind: Kind::String {
        length: Length {
            min: Some(33),
            max: Some(256),
        },
        pattern: Some(Pattern::new(
            r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}",
            r"\A(?:[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static CODE: Shape = Shape {
    name: "Code",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "s3",
            shape: &S3_LOCATION,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [s3]"),
    }),
    sensitive: false,
};
pub(super) static CODE_CONFIGURATION: Shape = Shape {
    name: "CodeConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "code",
                shape: &CODE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "runtime",
                shape: &AGENT_MANAGED_RUNTIME_TYPE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "entryPoint",
                shape: &CODE_CONFIGURATION_ENTRY_POINT_LIST,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CODE_CONFIGURATION_ENTRY_POINT_LIST: Shape = Shape {
    name: "CodeConfigurationEntryPointList",
    kind: Kind::List {
        item: &ENTRY_POINT,
        length: Length {
            min: Some(1),
            max: Some(2),
        },
    },
    sensitive: false,
};
pub(super) static CONTAINER_CONFIGURATION: Shape = Shape {
    name: "ContainerConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "containerUri",
            shape: &RUNTIME_CONTAINER_URI,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CREATE_AGENT_RUNTIME_ENDPOINT_REQUEST: Shape = Shape {
    name: "CreateAgentRuntimeEndpointRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "name",
                shape: &ENDPOINT_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &AGENT_ENDPOINT_DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "clientToken",
                shape: &CLIENT_TOKEN,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "tags",
                shape: &TAGS_MAP,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CREATE_AGENT_RUNTIME_ENDPOINT_RESPONSE: Shape = Shape {
    name: "CreateAgentRuntimeEndpointResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "targetVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeEndpointArn",
                shape: &AGENT_RUNTIME_ENDPOINT_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "endpointName",
                shape: &ENDPOINT_NAME,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_ENDPOINT_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CREATE_AGENT_RUNTIME_REQUEST: Shape = Shape {
    name: "CreateAgentRuntimeRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeName",
                shape: &AGENT_RUNTIME_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeArtifact",
                shape: &AGENT_RUNTIME_ARTIFACT,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "roleArn",
                shape: &ROLE_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "networkConfiguration",
                shape: &NETWORK_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "clientToken",
                shape: &CLIENT_TOKEN,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "authorizerConfiguration",
                shape: &AUTHORIZER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "requestHeaderConfiguration",
                shape: &REQUEST_HEADER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "protocolConfiguration",
                shape: &PROTOCOL_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "lifecycleConfiguration",
                shape: &LIFECYCLE_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "hooksConfiguration",
                shape: &RUNTIME_HOOKS_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "environmentVariables",
                shape: &ENVIRONMENT_VARIABLES_MAP,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "filesystemConfigurations",
                shape: &FILESYSTEM_CONFIGURATIONS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "capacityProviderConfiguration",
                shape: &CAPACITY_PROVIDER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "tags",
                shape: &TAGS_MAP,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "platformVersion",
                shape: &PLATFORM_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "allowedPorts",
                shape: &ALLOWED_PORTS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "resourceConfigurations",
                shape: &RESOURCE_CONFIGURATIONS,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CREATE_AGENT_RUNTIME_RESPONSE: Shape = Shape {
    name: "CreateAgentRuntimeResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "workloadIdentityDetails",
                shape: &WORKLOAD_IDENTITY_DETAILS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_STATUS,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CUSTOM_CLAIM_VALIDATION_TYPE: Shape = Shape {
    name: "CustomClaimValidationType",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "inboundTokenClaimName",
                shape: &INBOUND_TOKEN_CLAIM_NAME_TYPE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "inboundTokenClaimValueType",
                shape: &INBOUND_TOKEN_CLAIM_VALUE_TYPE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "authorizingClaimMatchValue",
                shape: &AUTHORIZING_CLAIM_MATCH_VALUE_TYPE,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static CUSTOM_CLAIM_VALIDATIONS_TYPE: Shape = Shape {
    name: "CustomClaimValidationsType",
    kind: Kind::List {
        item: &CUSTOM_CLAIM_VALIDATION_TYPE,
        length: Length {
            min: Some(1),
            max: None,
        },
    },
    sensitive: false,
};
pub(super) static CUSTOM_JWT_AUTHORIZER_CONFIGURATION: Shape = Shape {
    name: "CustomJWTAuthorizerConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "discoveryUrl",
                shape: &DISCOVERY_URL,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "allowedAudience",
                shape: &ALLOWED_AUDIENCE_LIST,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "allowedClients",
                shape: &ALLOWED_CLIENTS_LIST,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "allowedScopes",
                shape: &ALLOWED_SCOPES_TYPE,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "advertisedScopeMapping",
                shape: &ADVERTISED_SCOPE_MAPPING_TYPE,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "customClaims",
                shape: &CUSTOM_CLAIM_VALIDATIONS_TYPE,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "privateEndpoint",
                shape: &PRIVATE_ENDPOINT,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "privateEndpointOverrides",
                shape: &PRIVATE_ENDPOINT_OVERRIDES,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "certificateConfigurations",
                shape: &CERTIFICATE_CONFIGURATION_LIST,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "allowedWorkloadConfiguration",
                shape: &ALLOWED_WORKLOAD_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DATE_TIMESTAMP: Shape = Shape {
    name: "DateTimestamp",
    kind: Kind::Timestamp(TimestampFormat::Iso8601),
    sensitive: false,
};
pub(super) static DELETE_AGENT_RUNTIME_ENDPOINT_REQUEST: Shape = Shape {
    name: "DeleteAgentRuntimeEndpointRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "endpointName",
                shape: &ENDPOINT_NAME,
                required: true,
                location: Location::Label("endpointName"),
            },
            Member {
                name: "clientToken",
                shape: &CLIENT_TOKEN,
                required: false,
                location: Location::Query("clientToken"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DELETE_AGENT_RUNTIME_ENDPOINT_RESPONSE: Shape = Shape {
    name: "DeleteAgentRuntimeEndpointResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_ENDPOINT_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "endpointName",
                shape: &ENDPOINT_NAME,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DELETE_AGENT_RUNTIME_REQUEST: Shape = Shape {
    name: "DeleteAgentRuntimeRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Query("version"),
            },
            Member {
                name: "clientToken",
                shape: &CLIENT_TOKEN,
                required: false,
                location: Location::Query("clientToken"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DELETE_AGENT_RUNTIME_RESPONSE: Shape = Shape {
    name: "DeleteAgentRuntimeResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DELETE_RESOURCE_POLICY_REQUEST: Shape = Shape {
    name: "DeleteResourcePolicyRequest",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "resourceArn",
            shape: &BEDROCK_AGENTCORE_RESOURCE_ARN,
            required: true,
            location: Location::Label("resourceArn"),
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DELETE_RESOURCE_POLICY_RESPONSE: Shape = Shape {
    name: "DeleteResourcePolicyResponse",
    kind: Kind::Structure(Structure {
        members: &[],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static DESCRIPTION: Shape = Shape {
    name: "Description",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(4096),
        },
        pattern: None,
        values: &[],
    },
    sensitive: true,
};
pub(super) static DISCOVERY_URL: Shape = Shape {
    name: "DiscoveryUrl",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"[^\s?#]+/\.well-known/(openid-configuration|oauth-authorization-server)(/[^\s?#]+)?",
            r"\A(?:[^[ \t\n\x0B\f\r]?#]+/\.well-known/(openid-configuration|oauth-authorization-server)(/[^[ \t\n\x0B\f\r]?#]+)?)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static EFS_ACCESS_POINT_ARN: Shape = Shape {
    name: "EfsAccessPointArn",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(128),
        },
        pattern: Some(Pattern::new(
            r"arn:aws[-a-z]*:elasticfilesystem:[0-9a-z-:]+:access-point/fsap-[0-9a-f]{8,40}",
            r"\A(?:arn:aws[-a-z]*:elasticfilesystem:[0-9a-z-:]+:access-point/fsap-[0-9a-f]{8,40})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static EFS_ACCESS_POINT_CONFIGURATION: Shape = Shape {
    name: "EfsAccessPointConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "accessPointArn",
                shape: &EFS_ACCESS_POINT_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "mountPath",
                shape: &MOUNT_PATH,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static ENDPOINT_IP_ADDRESS_TYPE: Shape = Shape {
    name: "EndpointIpAddressType",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &["IPV4", "IPV6"],
    },
    sensitive: false,
};
pub(super) static ENDPOINT_NAME: Shape = Shape {
    name: "EndpointName",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"[a-zA-Z][a-zA-Z0-9_]{0,47}",
            r"\A(?:[a-zA-Z][a-zA-Z0-9_]{0,47})\z",
        )),
        values: &[],
    },
    sensitive: true,
};
pub(super) static ENVIRONMENT_VARIABLE_KEY: Shape = Shape {
    name: "EnvironmentVariableKey",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(100),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static ENVIRONMENT_VARIABLE_VALUE: Shape = Shape {
    name: "EnvironmentVariableValue",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(5000),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static ENVIRONMENT_VARIABLES_MAP: Shape = Shape {
    name: "EnvironmentVariablesMap",
    kind: Kind::Map {
        key: &ENVIRONMENT_VARIABLE_KEY,
        value: &ENVIRONMENT_VARIABLE_VALUE,
        length: Length {
            min: Some(0),
            max: Some(50),
        },
    },
    sensitive: true,
};
pub(super) static FILESYSTEM_CONFIGURATION: Shape = Shape {
    name: "FilesystemConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "sessionStorage",
                shape: &SESSION_STORAGE_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "s3FilesAccessPoint",
                shape: &S3_FILES_ACCESS_POINT_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "efsAccessPoint",
                shape: &EFS_ACCESS_POINT_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "capacityProviderVolume",
                shape: &CAPACITY_PROVIDER_VOLUME_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: Some(
            "Member must have exactly one of these set: [sessionStorage, s3FilesAccessPoint, efsAccessPoint, capacityProviderVolume]",
        ),
    }),
    sensitive: false,
};
pub(super) static FILESYSTEM_CONFIGURATIONS: Shape = Shape {
    name: "FilesystemConfigurations",
    kind: Kind::List {
        item: &FILESYSTEM_CONFIGURATION,
        length: Length {
            min: Some(0),
            max: Some(5),
        },
    },
    sensitive: false,
};
pub(super) static GET_AGENT_RUNTIME_ENDPOINT_REQUEST: Shape = Shape {
    name: "GetAgentRuntimeEndpointRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "endpointName",
                shape: &ENDPOINT_NAME,
                required: true,
                location: Location::Label("endpointName"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static GET_AGENT_RUNTIME_ENDPOINT_RESPONSE: Shape = Shape {
    name: "GetAgentRuntimeEndpointResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "liveVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "targetVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeEndpointArn",
                shape: &AGENT_RUNTIME_ENDPOINT_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &AGENT_ENDPOINT_DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_ENDPOINT_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lastUpdatedAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "failureReason",
                shape: &STRING,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "name",
                shape: &ENDPOINT_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "id",
                shape: &AGENT_RUNTIME_ENDPOINT_ID,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static GET_AGENT_RUNTIME_REQUEST: Shape = Shape {
    name: "GetAgentRuntimeRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Query("version"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static GET_AGENT_RUNTIME_RESPONSE: Shape = Shape {
    name: "GetAgentRuntimeResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeName",
                shape: &AGENT_RUNTIME_NAME,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lastUpdatedAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "roleArn",
                shape: &ROLE_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "networkConfiguration",
                shape: &NETWORK_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lifecycleConfiguration",
                shape: &LIFECYCLE_CONFIGURATION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "hooksConfiguration",
                shape: &RUNTIME_HOOKS_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "failureReason",
                shape: &STRING,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "workloadIdentityDetails",
                shape: &WORKLOAD_IDENTITY_DETAILS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeArtifact",
                shape: &AGENT_RUNTIME_ARTIFACT,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "protocolConfiguration",
                shape: &PROTOCOL_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "environmentVariables",
                shape: &ENVIRONMENT_VARIABLES_MAP,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "authorizerConfiguration",
                shape: &AUTHORIZER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "requestHeaderConfiguration",
                shape: &REQUEST_HEADER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "metadataConfiguration",
                shape: &RUNTIME_METADATA_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "filesystemConfigurations",
                shape: &FILESYSTEM_CONFIGURATIONS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "capacityProviderConfiguration",
                shape: &CAPACITY_PROVIDER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "platformVersion",
                shape: &PLATFORM_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "allowedPorts",
                shape: &ALLOWED_PORTS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "resourceConfigurations",
                shape: &RESOURCE_CONFIGURATIONS,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static GET_RESOURCE_POLICY_REQUEST: Shape = Shape {
    name: "GetResourcePolicyRequest",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "resourceArn",
            shape: &BEDROCK_AGENTCORE_RESOURCE_ARN,
            required: true,
            location: Location::Label("resourceArn"),
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static GET_RESOURCE_POLICY_RESPONSE: Shape = Shape {
    name: "GetResourcePolicyResponse",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "policy",
            shape: &RESOURCE_POLICY_BODY,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static HEADER_NAME: Shape = Shape {
    name: "HeaderName",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(256),
        },
        pattern: Some(Pattern::new(
            r"[A-Za-z][A-Za-z0-9_-]{0,255}",
            r"\A(?:[A-Za-z][A-Za-z0-9_-]{0,255})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static HOSTING_ENVIRONMENT: Shape = Shape {
    name: "HostingEnvironment",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "arn",
            shape: &BEDROCK_AGENTCORE_RESOURCE_ARN,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static HOSTING_ENVIRONMENT_LIST_TYPE: Shape = Shape {
    name: "HostingEnvironmentListType",
    kind: Kind::List {
        item: &HOSTING_ENVIRONMENT,
        length: Length {
            min: Some(1),
            max: Some(10),
        },
    },
    sensitive: false,
};
pub(super) static HTTP_POST_LIFECYCLE_HOOK_ACTION: Shape = Shape {
    name: "HttpPostLifecycleHookAction",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "path",
                shape: &LIFECYCLE_HOOK_PATH,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "port",
                shape: &SERVER_PORT,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static INBOUND_TOKEN_CLAIM_NAME_TYPE: Shape = Shape {
    name: "InboundTokenClaimNameType",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(255),
        },
        pattern: Some(Pattern::new(r"[A-Za-z0-9_.-:]+", r"\A(?:[A-Za-z0-9_.-:]+)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static INBOUND_TOKEN_CLAIM_VALUE_TYPE: Shape = Shape {
    name: "InboundTokenClaimValueType",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &["STRING", "STRING_ARRAY"],
    },
    sensitive: false,
};
pub(super) static INTEGER: Shape = Shape {
    name: "Integer",
    kind: Kind::Integer(Range { min: None, max: None }),
    sensitive: false,
};
pub(super) static LIFECYCLE_CONFIGURATION: Shape = Shape {
    name: "LifecycleConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "idleRuntimeSessionTimeout",
                shape: &LIFECYCLE_CONFIGURATION_IDLE_RUNTIME_SESSION_TIMEOUT_INTEGER,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "maxLifetime",
                shape: &LIFECYCLE_CONFIGURATION_MAX_LIFETIME_INTEGER,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIFECYCLE_CONFIGURATION_IDLE_RUNTIME_SESSION_TIMEOUT_INTEGER: Shape = Shape {
    name: "LifecycleConfigurationIdleRuntimeSessionTimeoutInteger",
    kind: Kind::Integer(Range {
        min: Some(60.0),
        max: Some(1209600.0),
    }),
    sensitive: false,
};
pub(super) static LIFECYCLE_CONFIGURATION_MAX_LIFETIME_INTEGER: Shape = Shape {
    name: "LifecycleConfigurationMaxLifetimeInteger",
    kind: Kind::Integer(Range {
        min: Some(60.0),
        max: Some(1209600.0),
    }),
    sensitive: false,
};
pub(super) static LIFECYCLE_HOOK: Shape = Shape {
    name: "LifecycleHook",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "action",
            shape: &LIFECYCLE_HOOK_ACTION,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIFECYCLE_HOOK_ACTION: Shape = Shape {
    name: "LifecycleHookAction",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "httpPost",
            shape: &HTTP_POST_LIFECYCLE_HOOK_ACTION,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [httpPost]"),
    }),
    sensitive: false,
};
pub(super) static LIFECYCLE_HOOK_PATH: Shape = Shape {
    name: "LifecycleHookPath",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(32),
        },
        pattern: Some(Pattern::new(r"/[A-Za-z0-9._~/-]*", r"\A(?:/[A-Za-z0-9._~/-]*)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static LIST_AGENT_RUNTIME_ENDPOINTS_REQUEST: Shape = Shape {
    name: "ListAgentRuntimeEndpointsRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "maxResults",
                shape: &MAX_RESULTS,
                required: false,
                location: Location::Query("maxResults"),
            },
            Member {
                name: "nextToken",
                shape: &NEXT_TOKEN,
                required: false,
                location: Location::Query("nextToken"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_AGENT_RUNTIME_ENDPOINTS_RESPONSE: Shape = Shape {
    name: "ListAgentRuntimeEndpointsResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeEndpoints",
                shape: &AGENT_RUNTIME_ENDPOINTS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "nextToken",
                shape: &NEXT_TOKEN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_AGENT_RUNTIME_VERSIONS_REQUEST: Shape = Shape {
    name: "ListAgentRuntimeVersionsRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "maxResults",
                shape: &MAX_RESULTS,
                required: false,
                location: Location::Query("maxResults"),
            },
            Member {
                name: "nextToken",
                shape: &NEXT_TOKEN,
                required: false,
                location: Location::Query("nextToken"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_AGENT_RUNTIME_VERSIONS_RESPONSE: Shape = Shape {
    name: "ListAgentRuntimeVersionsResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimes",
                shape: &AGENT_RUNTIMES,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "nextToken",
                shape: &NEXT_TOKEN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_AGENT_RUNTIMES_REQUEST: Shape = Shape {
    name: "ListAgentRuntimesRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "maxResults",
                shape: &MAX_RESULTS,
                required: false,
                location: Location::Query("maxResults"),
            },
            Member {
                name: "nextToken",
                shape: &NEXT_TOKEN,
                required: false,
                location: Location::Query("nextToken"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_AGENT_RUNTIMES_RESPONSE: Shape = Shape {
    name: "ListAgentRuntimesResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimes",
                shape: &AGENT_RUNTIMES,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "nextToken",
                shape: &NEXT_TOKEN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_TAGS_FOR_RESOURCE_REQUEST: Shape = Shape {
    name: "ListTagsForResourceRequest",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "resourceArn",
            shape: &TAGGABLE_RESOURCES_ARN,
            required: true,
            location: Location::Label("resourceArn"),
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static LIST_TAGS_FOR_RESOURCE_RESPONSE: Shape = Shape {
    name: "ListTagsForResourceResponse",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "tags",
            shape: &TAGS_MAP,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static MANAGED_VPC_RESOURCE: Shape = Shape {
    name: "ManagedVpcResource",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "vpcIdentifier",
                shape: &VPC_IDENTIFIER,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "subnetIds",
                shape: &SUBNET_IDS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "endpointIpAddressType",
                shape: &ENDPOINT_IP_ADDRESS_TYPE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "securityGroupIds",
                shape: &SECURITY_GROUP_IDS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "tags",
                shape: &TAGS_MAP,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "routingDomain",
                shape: &ROUTING_DOMAIN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static MATCH_VALUE_STRING: Shape = Shape {
    name: "MatchValueString",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(255),
        },
        pattern: Some(Pattern::new(r"[A-Za-z0-9_.-]+", r"\A(?:[A-Za-z0-9_.-]+)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static MATCH_VALUE_STRING_LIST: Shape = Shape {
    name: "MatchValueStringList",
    kind: Kind::List {
        item: &MATCH_VALUE_STRING,
        length: Length {
            min: Some(1),
            max: None,
        },
    },
    sensitive: false,
};
pub(super) static MAX_RESULTS: Shape = Shape {
    name: "MaxResults",
    kind: Kind::Integer(Range {
        min: Some(1.0),
        max: Some(100.0),
    }),
    sensitive: false,
};
pub(super) static MOUNT_PATH: Shape = Shape {
    name: "MountPath",
    kind: Kind::String {
        length: Length {
            min: Some(6),
            max: Some(200),
        },
        pattern: Some(Pattern::new(
            r"/mnt/[a-zA-Z0-9._-]+/?",
            r"\A(?:/mnt/[a-zA-Z0-9._-]+/?)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static NETWORK_CONFIGURATION: Shape = Shape {
    name: "NetworkConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "networkMode",
                shape: &NETWORK_MODE,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "networkModeConfig",
                shape: &VPC_CONFIG,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static NETWORK_MODE: Shape = Shape {
    name: "NetworkMode",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &["PUBLIC", "VPC"],
    },
    sensitive: false,
};
pub(super) static NEXT_TOKEN: Shape = Shape {
    name: "NextToken",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(2048),
        },
        pattern: Some(Pattern::new(r"\S*", r"\A(?:[^ \t\n\x0B\f\r]*)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static PLATFORM_VERSION: Shape = Shape {
    name: "PlatformVersion",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(128),
        },
        pattern: Some(Pattern::new(r"[^\s]+", r"\A(?:[^[ \t\n\x0B\f\r]]+)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static PORT: Shape = Shape {
    name: "Port",
    kind: Kind::Integer(Range {
        min: Some(8000.0),
        max: Some(12000.0),
    }),
    sensitive: false,
};
pub(super) static PORT_RANGE: Shape = Shape {
    name: "PortRange",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "from",
                shape: &PORT,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "to",
                shape: &PORT,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static PRIVATE_ENDPOINT: Shape = Shape {
    name: "PrivateEndpoint",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "selfManagedLatticeResource",
                shape: &SELF_MANAGED_LATTICE_RESOURCE,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "managedVpcResource",
                shape: &MANAGED_VPC_RESOURCE,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: Some(
            "Member must have exactly one of these set: [selfManagedLatticeResource, managedVpcResource]",
        ),
    }),
    sensitive: false,
};
pub(super) static PRIVATE_ENDPOINT_OVERRIDE: Shape = Shape {
    name: "PrivateEndpointOverride",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "domain",
                shape: &PRIVATE_ENDPOINT_OVERRIDE_DOMAIN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "privateEndpoint",
                shape: &PRIVATE_ENDPOINT,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static PRIVATE_ENDPOINT_OVERRIDE_DOMAIN: Shape = Shape {
    name: "PrivateEndpointOverrideDomain",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(253),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static PRIVATE_ENDPOINT_OVERRIDES: Shape = Shape {
    name: "PrivateEndpointOverrides",
    kind: Kind::List {
        item: &PRIVATE_ENDPOINT_OVERRIDE,
        length: Length {
            min: Some(0),
            max: Some(5),
        },
    },
    sensitive: false,
};
pub(super) static PROTOCOL_CONFIGURATION: Shape = Shape {
    name: "ProtocolConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "serverProtocol",
                shape: &SERVER_PROTOCOL,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "port",
                shape: &SERVER_PORT,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "path",
                shape: &SERVER_PATH,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static PUT_RESOURCE_POLICY_REQUEST: Shape = Shape {
    name: "PutResourcePolicyRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "resourceArn",
                shape: &BEDROCK_AGENTCORE_RESOURCE_ARN,
                required: true,
                location: Location::Label("resourceArn"),
            },
            Member {
                name: "policy",
                shape: &RESOURCE_POLICY_BODY,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static PUT_RESOURCE_POLICY_RESPONSE: Shape = Shape {
    name: "PutResourcePolicyResponse",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "policy",
            shape: &RESOURCE_POLICY_BODY,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static REQUEST_HEADER_ALLOWLIST: Shape = Shape {
    name: "RequestHeaderAllowlist",
    kind: Kind::List {
        item: &HEADER_NAME,
        length: Length {
            min: Some(1),
            max: Some(20),
        },
    },
    sensitive: false,
};
pub(super) static REQUEST_HEADER_CONFIGURATION: Shape = Shape {
    name: "RequestHeaderConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "requestHeaderAllowlist",
            shape: &REQUEST_HEADER_ALLOWLIST,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [requestHeaderAllowlist]"),
    }),
    sensitive: false,
};
pub(super) static RESOURCE_CONFIGURATION: Shape = Shape {
    name: "ResourceConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "minimumMemoryInMiB",
            shape: &INTEGER,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static RESOURCE_CONFIGURATION_IDENTIFIER: Shape = Shape {
    name: "ResourceConfigurationIdentifier",
    kind: Kind::String {
        length: Length {
            min: Some(20),
            max: Some(2048),
        },
        pattern: Some(Pattern::new(
            r"((rcfg-[0-9a-z]{17})|(arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:\d{12}:resourceconfiguration/rcfg-[0-9a-z]{17}))",
            r"\A(?:((rcfg-[0-9a-z]{17})|(arn:[a-z0-9\-]+:vpc-lattice:[a-zA-Z0-9\-]+:[0-9]{12}:resourceconfiguration/rcfg-[0-9a-z]{17})))\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static RESOURCE_CONFIGURATIONS: Shape = Shape {
    name: "ResourceConfigurations",
    kind: Kind::List {
        item: &RESOURCE_CONFIGURATION,
        length: Length {
            min: Some(0),
            max: Some(1),
        },
    },
    sensitive: false,
};
pub(super) static RESOURCE_POLICY_BODY: Shape = Shape {
    name: "ResourcePolicyBody",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(20480),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static ROLE_ARN: Shape = Shape {
    name: "RoleArn",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(2048),
        },
        pattern: Some(Pattern::new(
            r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+",
            r"\A(?:arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static ROUTING_DOMAIN: Shape = Shape {
    name: "RoutingDomain",
    kind: Kind::String {
        length: Length {
            min: Some(3),
            max: Some(255),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static RUNTIME_CONTAINER_URI: Shape = Shape {
    name: "RuntimeContainerUri",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(1024),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static RUNTIME_HOOKS_CONFIGURATION: Shape = Shape {
    name: "RuntimeHooksConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "build",
            shape: &BUILD_LIFECYCLE_HOOKS,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static RUNTIME_METADATA_CONFIGURATION: Shape = Shape {
    name: "RuntimeMetadataConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "requireMMDSV2",
            shape: &BOOLEAN,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static S3_CERTIFICATE_CONFIGURATION: Shape = Shape {
    name: "S3CertificateConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "uri",
                shape: &CERTIFICATE_S3_URI,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "bucketOwnerAccountId",
                shape: &CERTIFICATE_BUCKET_OWNER_ACCOUNT_ID,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static S3_FILES_ACCESS_POINT_ARN: Shape = Shape {
    name: "S3FilesAccessPointArn",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(256),
        },
        pattern: Some(Pattern::new(
            r"arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}",
            r"\A(?:arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static S3_FILES_ACCESS_POINT_CONFIGURATION: Shape = Shape {
    name: "S3FilesAccessPointConfiguration",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "accessPointArn",
                shape: &S3_FILES_ACCESS_POINT_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "mountPath",
                shape: &MOUNT_PATH,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static S3_LOCATION: Shape = Shape {
    name: "S3Location",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "bucket",
                shape: &S3_LOCATION_BUCKET_STRING,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "prefix",
                shape: &S3_LOCATION_PREFIX_STRING,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "versionId",
                shape: &S3_LOCATION_VERSION_ID_STRING,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static S3_LOCATION_BUCKET_STRING: Shape = Shape {
    name: "S3LocationBucketString",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            r"\A(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static S3_LOCATION_PREFIX_STRING: Shape = Shape {
    name: "S3LocationPrefixString",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(1024),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static S3_LOCATION_VERSION_ID_STRING: Shape = Shape {
    name: "S3LocationVersionIdString",
    kind: Kind::String {
        length: Length {
            min: Some(3),
            max: Some(1024),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static SECRETS_MANAGER_CERTIFICATE_CONFIGURATION: Shape = Shape {
    name: "SecretsManagerCertificateConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "secretArn",
            shape: &CERTIFICATE_SECRET_ARN,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static SECURITY_GROUP_ID: Shape = Shape {
    name: "SecurityGroupId",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"sg-[0-9a-zA-Z]{8,17}",
            r"\A(?:sg-[0-9a-zA-Z]{8,17})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static SECURITY_GROUP_IDENTIFIER: Shape = Shape {
    name: "SecurityGroupIdentifier",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"sg-(([0-9a-z]{8})|([0-9a-z]{17}))",
            r"\A(?:sg-(([0-9a-z]{8})|([0-9a-z]{17})))\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static SECURITY_GROUP_IDS: Shape = Shape {
    name: "SecurityGroupIds",
    kind: Kind::List {
        item: &SECURITY_GROUP_IDENTIFIER,
        length: Length {
            min: Some(0),
            max: Some(5),
        },
    },
    sensitive: false,
};
pub(super) static SECURITY_GROUPS: Shape = Shape {
    name: "SecurityGroups",
    kind: Kind::List {
        item: &SECURITY_GROUP_ID,
        length: Length {
            min: Some(1),
            max: Some(16),
        },
    },
    sensitive: false,
};
pub(super) static SELF_MANAGED_LATTICE_RESOURCE: Shape = Shape {
    name: "SelfManagedLatticeResource",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "resourceConfigurationIdentifier",
            shape: &RESOURCE_CONFIGURATION_IDENTIFIER,
            required: false,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: Some("Member must have exactly one of these set: [resourceConfigurationIdentifier]"),
    }),
    sensitive: false,
};
pub(super) static SERVER_PATH: Shape = Shape {
    name: "ServerPath",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(2048),
        },
        pattern: Some(Pattern::new(
            r"/[A-Za-z0-9\-._~/%]*",
            r"\A(?:/[A-Za-z0-9\-._~/%]*)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static SERVER_PORT: Shape = Shape {
    name: "ServerPort",
    kind: Kind::Integer(Range {
        min: Some(8000.0),
        max: Some(12000.0),
    }),
    sensitive: false,
};
pub(super) static SERVER_PROTOCOL: Shape = Shape {
    name: "ServerProtocol",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &["MCP", "HTTP", "A2A", "AGUI"],
    },
    sensitive: false,
};
pub(super) static SESSION_STORAGE_CONFIGURATION: Shape = Shape {
    name: "SessionStorageConfiguration",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "mountPath",
            shape: &MOUNT_PATH,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static STRING: Shape = Shape {
    name: "String",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static SUBNET_ID: Shape = Shape {
    name: "SubnetId",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"subnet-[0-9a-zA-Z]{8,17}",
            r"\A(?:subnet-[0-9a-zA-Z]{8,17})\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static SUBNET_IDS: Shape = Shape {
    name: "SubnetIds",
    kind: Kind::List {
        item: &SUBNET_ID,
        length: Length { min: None, max: None },
    },
    sensitive: false,
};
pub(super) static SUBNETS: Shape = Shape {
    name: "Subnets",
    kind: Kind::List {
        item: &SUBNET_ID,
        length: Length {
            min: Some(1),
            max: Some(16),
        },
    },
    sensitive: false,
};
pub(super) static TAG_KEY: Shape = Shape {
    name: "TagKey",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(128),
        },
        pattern: Some(Pattern::new(
            r"[a-zA-Z0-9\s._:/=+@-]*",
            r"\A(?:[a-zA-Z0-9[ \t\n\x0B\f\r]._:/=+@-]*)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static TAG_KEY_LIST: Shape = Shape {
    name: "TagKeyList",
    kind: Kind::List {
        item: &TAG_KEY,
        length: Length {
            min: Some(0),
            max: Some(200),
        },
    },
    sensitive: false,
};
pub(super) static TAG_RESOURCE_REQUEST: Shape = Shape {
    name: "TagResourceRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "resourceArn",
                shape: &TAGGABLE_RESOURCES_ARN,
                required: true,
                location: Location::Label("resourceArn"),
            },
            Member {
                name: "tags",
                shape: &TAGS_MAP,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static TAG_RESOURCE_RESPONSE: Shape = Shape {
    name: "TagResourceResponse",
    kind: Kind::Structure(Structure {
        members: &[],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static TAG_VALUE: Shape = Shape {
    name: "TagValue",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(256),
        },
        pattern: Some(Pattern::new(
            r"[a-zA-Z0-9\s._:/=+@-]*",
            r"\A(?:[a-zA-Z0-9[ \t\n\x0B\f\r]._:/=+@-]*)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static TAGGABLE_RESOURCES_ARN: Shape = Shape {
    name: "TaggableResourcesArn",
    kind: Kind::String {
        length: Length {
            min: Some(20),
            max: Some(1011),
        },
        pattern: Some(Pattern::new(
            r"arn:(?:[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:([a-z-]+/[^/]+)(?:/[a-z-]+/[^/]+)*",
            r"\A(?:arn:(?:[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:([a-z-]+/[^/]+)(?:/[a-z-]+/[^/]+)*)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static TAGS_MAP: Shape = Shape {
    name: "TagsMap",
    kind: Kind::Map {
        key: &TAG_KEY,
        value: &TAG_VALUE,
        length: Length {
            min: Some(0),
            max: Some(50),
        },
    },
    sensitive: false,
};
pub(super) static UNTAG_RESOURCE_REQUEST: Shape = Shape {
    name: "UntagResourceRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "resourceArn",
                shape: &TAGGABLE_RESOURCES_ARN,
                required: true,
                location: Location::Label("resourceArn"),
            },
            Member {
                name: "tagKeys",
                shape: &TAG_KEY_LIST,
                required: true,
                location: Location::Query("tagKeys"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static UNTAG_RESOURCE_RESPONSE: Shape = Shape {
    name: "UntagResourceResponse",
    kind: Kind::Structure(Structure {
        members: &[],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static UPDATE_AGENT_RUNTIME_ENDPOINT_REQUEST: Shape = Shape {
    name: "UpdateAgentRuntimeEndpointRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "endpointName",
                shape: &ENDPOINT_NAME,
                required: true,
                location: Location::Label("endpointName"),
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &AGENT_ENDPOINT_DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "clientToken",
                shape: &CLIENT_TOKEN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static UPDATE_AGENT_RUNTIME_ENDPOINT_RESPONSE: Shape = Shape {
    name: "UpdateAgentRuntimeEndpointResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "liveVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "targetVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeEndpointArn",
                shape: &AGENT_RUNTIME_ENDPOINT_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_ENDPOINT_STATUS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lastUpdatedAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static UPDATE_AGENT_RUNTIME_REQUEST: Shape = Shape {
    name: "UpdateAgentRuntimeRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Label("agentRuntimeId"),
            },
            Member {
                name: "agentRuntimeArtifact",
                shape: &AGENT_RUNTIME_ARTIFACT,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "roleArn",
                shape: &ROLE_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "networkConfiguration",
                shape: &NETWORK_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "description",
                shape: &DESCRIPTION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "authorizerConfiguration",
                shape: &AUTHORIZER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "requestHeaderConfiguration",
                shape: &REQUEST_HEADER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "protocolConfiguration",
                shape: &PROTOCOL_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "lifecycleConfiguration",
                shape: &LIFECYCLE_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "hooksConfiguration",
                shape: &RUNTIME_HOOKS_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "metadataConfiguration",
                shape: &RUNTIME_METADATA_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "environmentVariables",
                shape: &ENVIRONMENT_VARIABLES_MAP,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "filesystemConfigurations",
                shape: &FILESYSTEM_CONFIGURATIONS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "capacityProviderConfiguration",
                shape: &CAPACITY_PROVIDER_CONFIGURATION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "platformVersion",
                shape: &PLATFORM_VERSION,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "allowedPorts",
                shape: &ALLOWED_PORTS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "resourceConfigurations",
                shape: &RESOURCE_CONFIGURATIONS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "clientToken",
                shape: &CLIENT_TOKEN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static UPDATE_AGENT_RUNTIME_RESPONSE: Shape = Shape {
    name: "UpdateAgentRuntimeResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "agentRuntimeArn",
                shape: &AGENT_RUNTIME_ARN,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeId",
                shape: &AGENT_RUNTIME_ID,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "workloadIdentityDetails",
                shape: &WORKLOAD_IDENTITY_DETAILS,
                required: false,
                location: Location::Body,
            },
            Member {
                name: "agentRuntimeVersion",
                shape: &AGENT_RUNTIME_VERSION,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "createdAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "lastUpdatedAt",
                shape: &DATE_TIMESTAMP,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "status",
                shape: &AGENT_RUNTIME_STATUS,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static VPC_CONFIG: Shape = Shape {
    name: "VpcConfig",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "securityGroups",
                shape: &SECURITY_GROUPS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "subnets",
                shape: &SUBNETS,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "requireServiceS3Endpoint",
                shape: &BOOLEAN,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static VPC_IDENTIFIER: Shape = Shape {
    name: "VpcIdentifier",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(
            r"vpc-(([0-9a-z]{8})|([0-9a-z]{17}))",
            r"\A(?:vpc-(([0-9a-z]{8})|([0-9a-z]{17})))\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static WORKLOAD_IDENTITY_ARN: Shape = Shape {
    name: "WorkloadIdentityArn",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(1024),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static WORKLOAD_IDENTITY_DETAILS: Shape = Shape {
    name: "WorkloadIdentityDetails",
    kind: Kind::Structure(Structure {
        members: &[Member {
            name: "workloadIdentityArn",
            shape: &WORKLOAD_IDENTITY_ARN,
            required: true,
            location: Location::Body,
        }],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static WORKLOAD_IDENTITY_NAME_LIST_TYPE: Shape = Shape {
    name: "WorkloadIdentityNameListType",
    kind: Kind::List {
        item: &WORKLOAD_IDENTITY_NAME_TYPE,
        length: Length {
            min: Some(1),
            max: Some(10),
        },
    },
    sensitive: false,
};
pub(super) static WORKLOAD_IDENTITY_NAME_TYPE: Shape = Shape {
    name: "WorkloadIdentityNameType",
    kind: Kind::String {
        length: Length {
            min: Some(3),
            max: Some(255),
        },
        pattern: Some(Pattern::new(r"[A-Za-z0-9_.-]+", r"\A(?:[A-Za-z0-9_.-]+)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static ENTRY_POINT: Shape = Shape {
    name: "entryPoint",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(128),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
