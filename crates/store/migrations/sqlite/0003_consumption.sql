-- What a session has used: of one that is owned, before its present sandbox; of one that has ended, altogether.
ALTER TABLE session ADD COLUMN run_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cpu_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN memory_mib_seconds BIGINT NOT NULL DEFAULT 0;

-- Whose it was, what it used, and what there is to tell of it.
ALTER TABLE session_end ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE session_end ADD COLUMN run_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session_end ADD COLUMN cpu_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session_end ADD COLUMN memory_mib_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session_end ADD COLUMN report TEXT;

CREATE VIEW owned_session AS
    SELECT s.*, r.account, r.region FROM session s JOIN runtime r ON r.runtime_id = s.runtime_id;
