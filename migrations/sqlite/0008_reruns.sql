-- Re-runs of a part of a suite, conversations that are copied in steps, the bytes of
-- rejudges and their waits, and outages of single models.

-- The number of runs of the suite of which this one re-runs a part; NULL if it is no part.
-- A re-run of a part is a part of the first suite, whose number is the largest.
ALTER TABLE suites ADD COLUMN part_of INTEGER;
WITH RECURSIVE ancestors (id, ancestor, total) AS (
    SELECT id, parent_id, total FROM suites WHERE parent_id IS NOT NULL
    UNION
    SELECT a.id, older.parent_id, older.total FROM ancestors a JOIN suites older ON older.id = a.ancestor
)
UPDATE suites SET part_of = whole.total
FROM (SELECT id, MAX(total) AS total FROM ancestors GROUP BY id) AS whole
WHERE whole.id = suites.id AND whole.total > suites.total;

-- Conversations that are not copied yet to the run that continues them. Each step copies
-- some turns in a transaction of its own, so that a long conversation does not delay other
-- changes. A run with a row here makes no step before the copy is complete.
CREATE TABLE conversation_copies (
    run_id        BLOB PRIMARY KEY NOT NULL,
    source_run_id BLOB NOT NULL,
    next_turn     INTEGER NOT NULL              -- the index of the first turn that is not copied
) STRICT, WITHOUT ROWID;
-- The source of a copy is not deleted before the copy is complete.
CREATE INDEX conversation_copies_by_source ON conversation_copies (source_run_id);

-- Rejudges count like transcripts: a user can request any number of them.
UPDATE spaces SET transcript_bytes = transcript_bytes + ifnull((
    SELECT SUM(octet_length(e.body) + ifnull(octet_length(e.raw_reply), 0))
    FROM suites s JOIN runs r ON r.suite_id = s.id JOIN evaluations e ON e.run_id = r.id
    WHERE s.space_id = spaces.id AND e.is_first = 0), 0);
CREATE TRIGGER rejudges_count_inserted AFTER INSERT ON evaluations WHEN NEW.is_first = 0 BEGIN
    UPDATE spaces SET transcript_bytes = transcript_bytes + octet_length(NEW.body)
        + ifnull(octet_length(NEW.raw_reply), 0)
    WHERE id = NEW.space_id;
END;
CREATE TRIGGER rejudges_count_updated AFTER UPDATE OF body, raw_reply ON evaluations
WHEN NEW.is_first = 0 BEGIN
    UPDATE spaces SET transcript_bytes = max(0, transcript_bytes + octet_length(NEW.body)
        + ifnull(octet_length(NEW.raw_reply), 0)
        - octet_length(OLD.body) - ifnull(octet_length(OLD.raw_reply), 0))
    WHERE id = NEW.space_id;
END;
CREATE TRIGGER rejudges_count_deleted AFTER DELETE ON evaluations WHEN OLD.is_first = 0 BEGIN
    UPDATE spaces SET transcript_bytes = max(0, transcript_bytes - octet_length(OLD.body)
        - ifnull(octet_length(OLD.raw_reply), 0))
    WHERE id = OLD.space_id;
END;

-- Outages of single models (a 403) beside those of whole connections (an empty model).
CREATE TABLE outages_by_model (
    user_id       BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    model         TEXT NOT NULL,                -- empty: all models of the connection
    began_at      INTEGER NOT NULL,
    PRIMARY KEY (user_id, connection_id, model)
) STRICT, WITHOUT ROWID;
INSERT INTO outages_by_model (user_id, connection_id, model, began_at)
    SELECT user_id, connection_id, '', began_at FROM outages;
DROP TABLE outages;
ALTER TABLE outages_by_model RENAME TO outages;

-- Since when the deadline of a rejudge stands still, because it waits for a call slot of the
-- server. When the wait ends, deadline_at moves by it.
ALTER TABLE evaluations ADD COLUMN deadline_paused_at INTEGER;
