-- Ids that agents gave MCP sessions of their own, and the sessions in which they did.
CREATE TABLE mcp_session (
    runtime_id  TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    mcp_session TEXT NOT NULL,
    session_id  TEXT NOT NULL,
    PRIMARY KEY (runtime_id, endpoint, mcp_session)
);
CREATE INDEX mcp_session_by_session ON mcp_session (runtime_id, endpoint, session_id);
