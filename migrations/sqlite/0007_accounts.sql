-- Accounts: sessions end together, tokens expire, stored bytes are counted, and the
-- rows of deleted agents and scenarios are cleaned.

-- A session that began earlier is over: set by "Sign out everywhere" and by a new
-- password.
ALTER TABLE users ADD COLUMN sessions_valid_from INTEGER NOT NULL DEFAULT 0;

-- Whose session it is; NULL for a visitor who is not signed in.
ALTER TABLE sessions ADD COLUMN user_id BLOB;
UPDATE sessions SET user_id = unhex(replace(data ->> '$.user_id', '-', '')) WHERE json_valid(data);
CREATE INDEX sessions_by_user ON sessions (user_id, expires_at) WHERE user_id IS NOT NULL;

-- NULL for tokens that were created before tokens had an expiry: they stay valid.
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

-- The newest drafts of a space; older ones make room.
CREATE INDEX drafts_by_space ON drafts (space_id, created_at);

-- The bytes of the transcripts of a space. Triggers count them, so that every way to
-- store or delete a turn is included, in the same transaction.
ALTER TABLE spaces ADD COLUMN transcript_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE spaces SET transcript_bytes = ifnull((
    SELECT SUM(octet_length(t.message) + ifnull(octet_length(t.tool_calls), 0) + ifnull(octet_length(t.tool), 0))
    FROM runs r JOIN turns t ON t.run_id = r.id WHERE r.space_id = spaces.id), 0);
CREATE TRIGGER turns_count_inserted AFTER INSERT ON turns BEGIN
    UPDATE spaces SET transcript_bytes = transcript_bytes + octet_length(NEW.message)
        + ifnull(octet_length(NEW.tool_calls), 0) + ifnull(octet_length(NEW.tool), 0)
    WHERE id = (SELECT space_id FROM runs WHERE id = NEW.run_id);
END;
CREATE TRIGGER turns_count_deleted AFTER DELETE ON turns BEGIN
    UPDATE spaces SET transcript_bytes = max(0, transcript_bytes - octet_length(OLD.message)
        - ifnull(octet_length(OLD.tool_calls), 0) - ifnull(octet_length(OLD.tool), 0))
    WHERE id = (SELECT space_id FROM runs WHERE id = OLD.run_id);
END;

-- When the rows of a deleted agent or scenario are checked next: those that no suite
-- and no run refers to are deleted.
ALTER TABLE agents ADD COLUMN cleanup_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX agents_deleted ON agents (cleanup_at) WHERE deleted_at IS NOT NULL;
ALTER TABLE scenarios ADD COLUMN cleanup_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX scenarios_deleted ON scenarios (cleanup_at) WHERE deleted_at IS NOT NULL;
