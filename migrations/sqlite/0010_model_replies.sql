-- What else is known about the reply of a model: JSON, NULL = nothing.
ALTER TABLE turns ADD COLUMN reply TEXT;

-- The quota of transcripts counts it too.
DROP TRIGGER turns_count_inserted;
DROP TRIGGER turns_count_deleted;
CREATE TRIGGER turns_count_inserted AFTER INSERT ON turns BEGIN
    UPDATE spaces SET transcript_bytes = transcript_bytes + octet_length(NEW.message)
        + ifnull(octet_length(NEW.tool_calls), 0) + ifnull(octet_length(NEW.tool), 0)
        + ifnull(octet_length(NEW.reply), 0)
    WHERE id = (SELECT space_id FROM runs WHERE id = NEW.run_id);
END;
CREATE TRIGGER turns_count_deleted AFTER DELETE ON turns BEGIN
    UPDATE spaces SET transcript_bytes = max(0, transcript_bytes - octet_length(OLD.message)
        - ifnull(octet_length(OLD.tool_calls), 0) - ifnull(octet_length(OLD.tool), 0)
        - ifnull(octet_length(OLD.reply), 0))
    WHERE id = (SELECT space_id FROM runs WHERE id = OLD.run_id);
END;

-- What the server of a connection rejects in requests to a model, so that a restart does
-- not learn it again by rejected calls. Server-wide connections have no row of their own,
-- so connection_id refers to no table.
CREATE TABLE learned_adjustments (
    connection_id BLOB NOT NULL,
    base_url      TEXT NOT NULL,
    model         TEXT NOT NULL,
    body          TEXT NOT NULL,                -- Adjustments, JSON
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (connection_id, base_url, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX learned_adjustments_by_age ON learned_adjustments (updated_at);
