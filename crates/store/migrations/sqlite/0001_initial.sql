-- Times are microseconds since 1970. Statuses are spelled as in the service model.

CREATE TABLE counter (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('incarnation', 0), ('generation', 0);

CREATE TABLE runtime (
    runtime_id     TEXT   NOT NULL PRIMARY KEY,
    account        TEXT   NOT NULL,
    region         TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    next_version   BIGINT NOT NULL,
    -- Set while the whole runtime is being deleted: DELETING or DELETE_FAILED.
    deletion       TEXT,
    deletion_error TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    UNIQUE (account, region, name)
);
CREATE INDEX runtime_by_update ON runtime (account, region, updated_at, runtime_id);

CREATE TABLE version (
    runtime_id     TEXT   NOT NULL REFERENCES runtime (runtime_id) ON DELETE CASCADE,
    version        BIGINT NOT NULL,
    configuration  TEXT   NOT NULL,
    resolution     TEXT,
    status         TEXT   NOT NULL,
    failure_reason TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (runtime_id, version)
);
CREATE INDEX version_unfinished ON version (status) WHERE status IN ('CREATING', 'UPDATING');

CREATE VIEW runtime_version AS
    SELECT r.runtime_id, r.account, r.region, r.name, r.deletion, r.deletion_error, r.created_at, r.updated_at,
           v.version, v.configuration, v.resolution, v.status, v.failure_reason,
           v.created_at AS version_created_at, v.updated_at AS version_updated_at
    FROM runtime r JOIN version v ON v.runtime_id = r.runtime_id;

CREATE TABLE endpoint (
    runtime_id     TEXT   NOT NULL REFERENCES runtime (runtime_id) ON DELETE CASCADE,
    name           TEXT   NOT NULL,
    suffix         TEXT   NOT NULL,
    live_version   BIGINT,
    target_version BIGINT NOT NULL,
    description    TEXT,
    status         TEXT   NOT NULL,
    failure_reason TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (runtime_id, name)
);
CREATE INDEX endpoint_unfinished ON endpoint (status) WHERE status IN ('CREATING', 'UPDATING', 'DELETING');

CREATE TABLE tag (
    resource_arn TEXT NOT NULL,
    tag_key      TEXT NOT NULL,
    tag_value    TEXT NOT NULL,
    PRIMARY KEY (resource_arn, tag_key)
);

CREATE TABLE resource_policy (
    resource_arn TEXT NOT NULL PRIMARY KEY,
    policy       TEXT NOT NULL
);

CREATE TABLE idempotency (
    account    TEXT   NOT NULL,
    region     TEXT   NOT NULL,
    operation  TEXT   NOT NULL,
    token      TEXT   NOT NULL,
    digest     TEXT   NOT NULL,
    response   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, region, operation, token)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- A row exists only while somebody may own the session.
CREATE TABLE session (
    runtime_id  TEXT   NOT NULL REFERENCES runtime (runtime_id),
    endpoint    TEXT   NOT NULL,
    session_id  TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    sandbox     TEXT   NOT NULL,
    incarnation BIGINT NOT NULL,
    generation  BIGINT NOT NULL UNIQUE,
    state       TEXT   NOT NULL,
    started_at  BIGINT NOT NULL,
    PRIMARY KEY (runtime_id, endpoint, session_id)
);
CREATE INDEX session_by_incarnation ON session (incarnation);

-- Append only; rows outlive their runtime.
CREATE TABLE session_end (
    generation BIGINT NOT NULL PRIMARY KEY,
    runtime_id TEXT   NOT NULL,
    endpoint   TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    reason     TEXT   NOT NULL
);
CREATE INDEX session_end_by_age ON session_end (ended_at);
CREATE INDEX session_end_by_runtime ON session_end (runtime_id, generation);

CREATE TABLE bucket (
    name       TEXT   NOT NULL PRIMARY KEY,
    account    TEXT   NOT NULL,
    region     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX bucket_by_account ON bucket (account, name);

CREATE TABLE object (
    bucket        TEXT   NOT NULL REFERENCES bucket (name),
    key           TEXT   NOT NULL,
    etag          TEXT   NOT NULL,
    size          BIGINT NOT NULL,
    content_type  TEXT,
    metadata      TEXT   NOT NULL,
    blob          TEXT   NOT NULL UNIQUE,
    last_modified BIGINT NOT NULL,
    PRIMARY KEY (bucket, key)
);

CREATE TABLE upload (
    upload_id    TEXT   NOT NULL PRIMARY KEY,
    bucket       TEXT   NOT NULL REFERENCES bucket (name),
    key          TEXT   NOT NULL,
    content_type TEXT,
    metadata     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL
);
CREATE INDEX upload_by_key ON upload (bucket, key, upload_id);

CREATE TABLE upload_part (
    upload_id     TEXT   NOT NULL REFERENCES upload (upload_id) ON DELETE CASCADE,
    part_number   BIGINT NOT NULL,
    etag          TEXT   NOT NULL,
    size          BIGINT NOT NULL,
    blob          TEXT   NOT NULL UNIQUE,
    last_modified BIGINT NOT NULL,
    PRIMARY KEY (upload_id, part_number)
);
