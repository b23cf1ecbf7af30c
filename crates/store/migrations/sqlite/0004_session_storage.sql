-- What a session finds again when it is used again: of which version it is, and the name of its folder.
CREATE TABLE session_storage (
    runtime_id   TEXT   NOT NULL REFERENCES runtime (runtime_id) ON DELETE CASCADE,
    endpoint     TEXT   NOT NULL,
    session_id   TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    storage      TEXT   NOT NULL UNIQUE,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (runtime_id, endpoint, session_id)
);
CREATE INDEX session_storage_by_use ON session_storage (last_used_at);
