-- Quick with a million turns, and cleaned in small steps.
--
-- SQLite uses a partial index only where its condition stands in the query as
-- it stands here, or follows from it word for word: `status = 'pending'` does
-- not lead to an index over `status IN ('pending', 'running')`.

-- The queue. None of these grows with the history.
CREATE INDEX runs_pending ON runs (suite_id, position) WHERE status = 'pending';   -- the next one of a suite
CREATE INDEX runs_running ON runs (suite_id, position) WHERE status = 'running';   -- those without a holder
CREATE INDEX runs_by_deadline ON runs (deadline_at) WHERE status = 'running';      -- past their deadline
CREATE INDEX runs_by_waiting ON runs (created_at) WHERE status = 'pending';        -- never begun
CREATE INDEX evaluations_pending ON evaluations (created_at) WHERE is_first = 0 AND status = 'pending';
CREATE INDEX evaluations_running ON evaluations (user_id) WHERE is_first = 0 AND status = 'running';

-- How many runs of a suite are in which state, without reading them.
CREATE INDEX runs_by_state ON runs (suite_id, status);

-- Lists, from new to old, by one filter at a time.
DROP INDEX runs_by_scenario;
CREATE INDEX runs_by_scenario ON runs (space_id, scenario_id, created_at DESC, id DESC);
CREATE INDEX runs_by_agent_time ON runs (space_id, agent_id, created_at DESC, id DESC);
CREATE INDEX runs_by_status ON runs (space_id, status, created_at DESC, id DESC);
CREATE INDEX runs_by_error ON runs (space_id, error_kind, created_at DESC, id DESC) WHERE error_kind IS NOT NULL;
CREATE INDEX suites_by_agent ON suites (space_id, agent_id, created_at DESC, id DESC);
CREATE INDEX suites_by_status ON suites (space_id, status, created_at DESC, id DESC);

-- Cleaning. Events go some days after the end of their suite: 0 all are there,
-- 1 they are told no more and being deleted, 2 gone.
ALTER TABLE suites ADD COLUMN events_state INTEGER NOT NULL DEFAULT 0;
-- Nobody sees it any more; its rows go step by step, and this one last.
ALTER TABLE suites ADD COLUMN deleted_at INTEGER;
CREATE INDEX suites_with_events ON suites (finished_at) WHERE events_state < 2 AND finished_at IS NOT NULL;
CREATE INDEX suites_by_end ON suites (finished_at) WHERE finished_at IS NOT NULL;
