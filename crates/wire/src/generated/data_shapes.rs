// Written by `cargo xtask generate`.
//! What requests to the data service are validated against.

use crate::pattern::Pattern;
use crate::shape::{Kind, Length, Location, Member, Payload, Range, Shape, Structure};

pub(super) static AGENT_CARD: Shape = Shape {
    name: "AgentCard",
    kind: Kind::Document,
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
pub(super) static GET_AGENT_CARD_REQUEST: Shape = Shape {
    name: "GetAgentCardRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_TYPE,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "agentRuntimeArn",
                shape: &STRING,
                required: true,
                location: Location::Label("agentRuntimeArn"),
            },
            Member {
                name: "qualifier",
                shape: &STRING,
                required: false,
                location: Location::Query("qualifier"),
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static GET_AGENT_CARD_RESPONSE: Shape = Shape {
    name: "GetAgentCardResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_ID,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "agentCard",
                shape: &AGENT_CARD,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "statusCode",
                shape: &HTTP_RESPONSE_CODE,
                required: false,
                location: Location::StatusCode,
            },
        ],
        payload: Payload::Member("agentCard"),
        union: None,
    }),
    sensitive: false,
};
pub(super) static HTTP_RESPONSE_CODE: Shape = Shape {
    name: "HttpResponseCode",
    kind: Kind::Integer(Range { min: None, max: None }),
    sensitive: false,
};
pub(super) static INTEGER: Shape = Shape {
    name: "Integer",
    kind: Kind::Integer(Range { min: None, max: None }),
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "contentType",
                shape: &MIME_TYPE,
                required: false,
                location: Location::Header("Content-Type"),
            },
            Member {
                name: "accept",
                shape: &MIME_TYPE,
                required: false,
                location: Location::Header("Accept"),
            },
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_TYPE,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "traceId",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_TRACE_ID_STRING,
                required: false,
                location: Location::Header("X-Amzn-Trace-Id"),
            },
            Member {
                name: "traceParent",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_TRACE_PARENT_STRING,
                required: false,
                location: Location::Header("traceparent"),
            },
            Member {
                name: "traceState",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_TRACE_STATE_STRING,
                required: false,
                location: Location::Header("tracestate"),
            },
            Member {
                name: "baggage",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_BAGGAGE_STRING,
                required: false,
                location: Location::Header("baggage"),
            },
            Member {
                name: "agentRuntimeArn",
                shape: &STRING,
                required: true,
                location: Location::Label("agentRuntimeArn"),
            },
            Member {
                name: "qualifier",
                shape: &STRING,
                required: false,
                location: Location::Query("qualifier"),
            },
            Member {
                name: "accountId",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_ACCOUNT_ID_STRING,
                required: false,
                location: Location::Query("accountId"),
            },
            Member {
                name: "body",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_BODY,
                required: true,
                location: Location::Body,
            },
        ],
        payload: Payload::Member("body"),
        union: None,
    }),
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_ACCOUNT_ID_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestAccountIdString",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(r"[0-9]{12}", r"\A(?:[0-9]{12})\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_BAGGAGE_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestBaggageString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(8192),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_BODY: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestBody",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "command",
                shape: &INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_BODY_COMMAND_STRING,
                required: true,
                location: Location::Body,
            },
            Member {
                name: "timeout",
                shape: &INTEGER,
                required: false,
                location: Location::Body,
            },
        ],
        payload: Payload::Members,
        union: None,
    }),
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_BODY_COMMAND_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestBodyCommandString",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(65536),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_TRACE_ID_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestTraceIdString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(1024),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_TRACE_PARENT_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestTraceParentString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(1024),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_REQUEST_TRACE_STATE_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeCommandRequestTraceStateString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(512),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_COMMAND_RESPONSE: Shape = Shape {
    name: "InvokeAgentRuntimeCommandResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_ID,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "traceId",
                shape: &STRING,
                required: false,
                location: Location::Header("X-Amzn-Trace-Id"),
            },
            Member {
                name: "traceParent",
                shape: &STRING,
                required: false,
                location: Location::Header("traceparent"),
            },
            Member {
                name: "traceState",
                shape: &STRING,
                required: false,
                location: Location::Header("tracestate"),
            },
            Member {
                name: "baggage",
                shape: &STRING,
                required: false,
                location: Location::Header("baggage"),
            },
            Member {
                name: "contentType",
                shape: &STRING,
                required: true,
                location: Location::Header("Content-Type"),
            },
            Member {
                name: "statusCode",
                shape: &HTTP_RESPONSE_CODE,
                required: false,
                location: Location::StatusCode,
            },
        ],
        payload: Payload::Raw,
        union: None,
    }),
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_REQUEST: Shape = Shape {
    name: "InvokeAgentRuntimeRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "contentType",
                shape: &MIME_TYPE,
                required: false,
                location: Location::Header("Content-Type"),
            },
            Member {
                name: "accept",
                shape: &MIME_TYPE,
                required: false,
                location: Location::Header("Accept"),
            },
            Member {
                name: "mcpSessionId",
                shape: &STRING_TYPE,
                required: false,
                location: Location::Header("Mcp-Session-Id"),
            },
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_TYPE,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "mcpProtocolVersion",
                shape: &STRING_TYPE,
                required: false,
                location: Location::Header("Mcp-Protocol-Version"),
            },
            Member {
                name: "mcpMethod",
                shape: &STRING_TYPE,
                required: false,
                location: Location::Header("Mcp-Method"),
            },
            Member {
                name: "mcpName",
                shape: &STRING_TYPE,
                required: false,
                location: Location::Header("Mcp-Name"),
            },
            Member {
                name: "runtimeUserId",
                shape: &STRING_TYPE,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-User-Id"),
            },
            Member {
                name: "traceId",
                shape: &INVOKE_AGENT_RUNTIME_REQUEST_TRACE_ID_STRING,
                required: false,
                location: Location::Header("X-Amzn-Trace-Id"),
            },
            Member {
                name: "traceParent",
                shape: &INVOKE_AGENT_RUNTIME_REQUEST_TRACE_PARENT_STRING,
                required: false,
                location: Location::Header("traceparent"),
            },
            Member {
                name: "traceState",
                shape: &INVOKE_AGENT_RUNTIME_REQUEST_TRACE_STATE_STRING,
                required: false,
                location: Location::Header("tracestate"),
            },
            Member {
                name: "baggage",
                shape: &INVOKE_AGENT_RUNTIME_REQUEST_BAGGAGE_STRING,
                required: false,
                location: Location::Header("baggage"),
            },
            Member {
                name: "agentRuntimeArn",
                shape: &STRING,
                required: true,
                location: Location::Label("agentRuntimeArn"),
            },
            Member {
                name: "qualifier",
                shape: &STRING,
                required: false,
                location: Location::Query("qualifier"),
            },
            Member {
                name: "accountId",
                shape: &INVOKE_AGENT_RUNTIME_REQUEST_ACCOUNT_ID_STRING,
                required: false,
                location: Location::Query("accountId"),
            },
        ],
        payload: Payload::Raw,
        union: None,
    }),
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_REQUEST_ACCOUNT_ID_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeRequestAccountIdString",
    kind: Kind::String {
        length: Length { min: None, max: None },
        pattern: Some(Pattern::new(r"[0-9]{12}", r"\A(?:[0-9]{12})\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_REQUEST_BAGGAGE_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeRequestBaggageString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(8192),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_REQUEST_TRACE_ID_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeRequestTraceIdString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(128),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_REQUEST_TRACE_PARENT_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeRequestTraceParentString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(128),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_REQUEST_TRACE_STATE_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeRequestTraceStateString",
    kind: Kind::String {
        length: Length {
            min: Some(0),
            max: Some(512),
        },
        pattern: None,
        values: &[],
    },
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_RESPONSE: Shape = Shape {
    name: "InvokeAgentRuntimeResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_ID,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "sessionEndpointUrl",
                shape: &INVOKE_AGENT_RUNTIME_RESPONSE_SESSION_ENDPOINT_URL_STRING,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Endpoint-Url"),
            },
            Member {
                name: "mcpSessionId",
                shape: &SESSION_ID,
                required: false,
                location: Location::Header("Mcp-Session-Id"),
            },
            Member {
                name: "mcpProtocolVersion",
                shape: &STRING,
                required: false,
                location: Location::Header("Mcp-Protocol-Version"),
            },
            Member {
                name: "traceId",
                shape: &STRING,
                required: false,
                location: Location::Header("X-Amzn-Trace-Id"),
            },
            Member {
                name: "traceParent",
                shape: &STRING,
                required: false,
                location: Location::Header("traceparent"),
            },
            Member {
                name: "traceState",
                shape: &STRING,
                required: false,
                location: Location::Header("tracestate"),
            },
            Member {
                name: "baggage",
                shape: &STRING,
                required: false,
                location: Location::Header("baggage"),
            },
            Member {
                name: "contentType",
                shape: &STRING,
                required: true,
                location: Location::Header("Content-Type"),
            },
            Member {
                name: "statusCode",
                shape: &HTTP_RESPONSE_CODE,
                required: false,
                location: Location::StatusCode,
            },
        ],
        payload: Payload::Raw,
        union: None,
    }),
    sensitive: false,
};
pub(super) static INVOKE_AGENT_RUNTIME_RESPONSE_SESSION_ENDPOINT_URL_STRING: Shape = Shape {
    name: "InvokeAgentRuntimeResponseSessionEndpointUrlString",
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
pub(super) static MIME_TYPE: Shape = Shape {
    name: "MimeType",
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
pub(super) static SESSION_ID: Shape = Shape {
    name: "SessionId",
    kind: Kind::String {
        length: Length {
            min: Some(1),
            max: Some(100),
        },
        pattern: Some(Pattern::new(
            r"[a-zA-Z0-9][a-zA-Z0-9-_]*",
            r"\A(?:[a-zA-Z0-9][a-zA-Z0-9-_]*)\z",
        )),
        values: &[],
    },
    sensitive: false,
};
pub(super) static SESSION_TYPE: Shape = Shape {
    name: "SessionType",
    kind: Kind::String {
        length: Length {
            min: Some(33),
            max: Some(256),
        },
        pattern: Some(Pattern::new(r"[!-.0-~]+", r"\A(?:[!-.0-~]+)\z")),
        values: &[],
    },
    sensitive: false,
};
pub(super) static STOP_RUNTIME_SESSION_REQUEST: Shape = Shape {
    name: "StopRuntimeSessionRequest",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_TYPE,
                required: true,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "agentRuntimeArn",
                shape: &STRING,
                required: true,
                location: Location::Label("agentRuntimeArn"),
            },
            Member {
                name: "qualifier",
                shape: &STRING,
                required: false,
                location: Location::Query("qualifier"),
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
pub(super) static STOP_RUNTIME_SESSION_RESPONSE: Shape = Shape {
    name: "StopRuntimeSessionResponse",
    kind: Kind::Structure(Structure {
        members: &[
            Member {
                name: "runtimeSessionId",
                shape: &SESSION_ID,
                required: false,
                location: Location::Header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"),
            },
            Member {
                name: "statusCode",
                shape: &HTTP_RESPONSE_CODE,
                required: false,
                location: Location::StatusCode,
            },
        ],
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
pub(super) static STRING_TYPE: Shape = Shape {
    name: "StringType",
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
