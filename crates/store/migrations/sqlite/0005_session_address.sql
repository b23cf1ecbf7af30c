-- What the URL of a session calls it; absent in sessions of earlier releases until they are adopted.
ALTER TABLE session ADD COLUMN address TEXT;
CREATE UNIQUE INDEX session_by_address ON session (address) WHERE address IS NOT NULL;
