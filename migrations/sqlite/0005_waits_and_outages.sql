-- Since when the deadline of a run stands still, because it waits for a slot of the
-- server or for a rate limit. When the wait ends, deadline_at moves by it.
ALTER TABLE runs ADD COLUMN deadline_paused_at INTEGER;

-- Connections on which the calls of a user fail, and since when none succeeded. Stored, so
-- that a restart does not prolong the time after which pending runs give up.
CREATE TABLE outages (
    user_id       BLOB NOT NULL,
    connection_id BLOB NOT NULL,
    began_at      INTEGER NOT NULL,
    PRIMARY KEY (user_id, connection_id)
) STRICT, WITHOUT ROWID;

-- First evaluations that were left unfinished by runs that ended while they were judged:
-- they kept these runs from being rejudged.
UPDATE evaluations SET status = 'error', body = json_set(body, '$.status', 'error', '$.error',
    json('{"kind":"abandoned","message":"The run ended before its evaluation. Rejudge the run.","retryable":true}'))
WHERE is_first = 1 AND status IN ('pending', 'running') AND json_valid(body)
    AND run_id IN (SELECT id FROM runs WHERE status NOT IN ('pending', 'running'));
