-- When a hibernated session is forgotten; absent in all others.
ALTER TABLE session ADD COLUMN expires_at BIGINT;
CREATE INDEX session_by_expiry ON session (expires_at) WHERE expires_at IS NOT NULL;
