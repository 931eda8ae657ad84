-- The first schema. Append-only: a change is a new file.
-- Ids are UUIDv7 as BLOB(16), so that primary keys sort by the time of making.
-- Times are milliseconds since 1970 UTC (INTEGER). Documents are JSON (TEXT).
-- Tables of short rows are WITHOUT ROWID; those with documents are not, because
-- long rows would stand in the inner nodes of their tree.

-- A person with an account.
CREATE TABLE users (
    id            BLOB PRIMARY KEY NOT NULL,
    email         TEXT NOT NULL UNIQUE,         -- in lower case
    password_hash TEXT NOT NULL,                -- argon2id, PHC form
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who owns a thing; today each user has one personal space.
CREATE TABLE spaces (
    id         BLOB PRIMARY KEY NOT NULL,
    user_id    BLOB NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX spaces_by_user ON spaces (user_id);

-- Browser sessions. The id is stored hashed: who reads the table gets in nowhere.
CREATE TABLE sessions (
    id_hash    BLOB PRIMARY KEY NOT NULL,       -- SHA-256 of the session id
    data       TEXT NOT NULL,                   -- the record, JSON
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Tokens for programs, stored hashed.
CREATE TABLE tokens (
    id           BLOB PRIMARY KEY NOT NULL,
    user_id      BLOB NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,          -- SHA-256 of the token
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER                        -- written at most every 5 minutes
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user_id);

-- How models are reached.
CREATE TABLE connections (
    id             BLOB PRIMARY KEY NOT NULL,
    space_id       BLOB NOT NULL REFERENCES spaces (id),
    name           TEXT NOT NULL,
    kind           TEXT NOT NULL,               -- anthropic, openai, demo
    base_url       TEXT NOT NULL,
    headers        TEXT NOT NULL,               -- JSON object
    key_ciphertext BLOB,                        -- key id, nonce, XChaCha20-Poly1305
    key_last4      TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX connections_by_space ON connections (space_id, name);

-- What is under test; the content stands in the revisions.
CREATE TABLE agents (
    id            BLOB PRIMARY KEY NOT NULL,
    space_id      BLOB NOT NULL REFERENCES spaces (id),
    name          TEXT NOT NULL,                -- of the newest revision, for lists
    connection_id BLOB NOT NULL,                -- of the newest revision
    revision      INTEGER NOT NULL,             -- the newest
    created_at    INTEGER NOT NULL,
    deleted_at    INTEGER                       -- hidden; history stays
) STRICT, WITHOUT ROWID;
CREATE INDEX agents_by_name ON agents (space_id, name, id) WHERE deleted_at IS NULL;
CREATE INDEX agents_by_connection ON agents (connection_id) WHERE deleted_at IS NULL;

-- Every save, unchanged for ever.
CREATE TABLE agent_revisions (
    agent_id   BLOB NOT NULL REFERENCES agents (id),
    revision   INTEGER NOT NULL,
    body       TEXT NOT NULL,                   -- AgentSpec, JSON
    created_at INTEGER NOT NULL,
    PRIMARY KEY (agent_id, revision)
) STRICT;

-- Conversations to have. Built-in ones have a slug and no space.
CREATE TABLE scenarios (
    id          BLOB PRIMARY KEY NOT NULL,
    space_id    BLOB REFERENCES spaces (id),
    slug        TEXT UNIQUE,
    name        TEXT NOT NULL,                  -- of the newest revision, as the following
    description TEXT NOT NULL,
    category    TEXT NOT NULL,
    difficulty  INTEGER NOT NULL,               -- 0 easy, 1 medium, 2 hard: sorts
    tags        TEXT NOT NULL,                  -- JSON list
    is_active   INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    deleted_at  INTEGER,
    CHECK ((space_id IS NULL) = (slug IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX scenarios_by_space ON scenarios (space_id, category, difficulty, name) WHERE deleted_at IS NULL;

-- Every save, unchanged for ever.
CREATE TABLE scenario_revisions (
    scenario_id BLOB NOT NULL REFERENCES scenarios (id),
    revision    INTEGER NOT NULL,
    body        TEXT NOT NULL,                  -- ScenarioSpec, JSON
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (scenario_id, revision)
) STRICT;

-- Models that judge and play users.
CREATE TABLE settings (
    space_id BLOB PRIMARY KEY NOT NULL REFERENCES spaces (id),
    body     TEXT NOT NULL                      -- Settings, JSON
) STRICT, WITHOUT ROWID;

-- Rejected form input, kept for a day so that nothing typed is lost.
CREATE TABLE drafts (
    id         BLOB PRIMARY KEY NOT NULL,
    space_id   BLOB,                            -- NULL before sign-in
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX drafts_by_age ON drafts (created_at);

-- Small facts about the database itself (the secret key's canary).
CREATE TABLE facts (
    name  TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The runs that one start made together.
CREATE TABLE suites (
    id                  BLOB PRIMARY KEY NOT NULL,
    space_id            BLOB NOT NULL REFERENCES spaces (id),
    user_id             BLOB NOT NULL REFERENCES users (id),
    agent_id            BLOB NOT NULL,
    agent_revision      INTEGER NOT NULL,
    agent_name          TEXT NOT NULL,
    frozen              TEXT NOT NULL,          -- models as they were then, JSON
    status              TEXT NOT NULL,          -- pending, running, finished, cancelled
    total               INTEGER NOT NULL,
    concurrency         INTEGER NOT NULL,
    repeats             INTEGER NOT NULL,
    parent_id           BLOB,                   -- the suite that it reruns
    note                TEXT NOT NULL,
    seq                 INTEGER NOT NULL,       -- the last event's number
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER
) STRICT;
CREATE INDEX suites_by_space ON suites (space_id, created_at DESC, id DESC);
CREATE INDEX suites_unfinished ON suites (created_at) WHERE status IN ('pending', 'running');

-- One scenario, one agent, one repetition. This table is the queue.
CREATE TABLE runs (
    id                  BLOB PRIMARY KEY NOT NULL,
    suite_id            BLOB NOT NULL REFERENCES suites (id),
    space_id            BLOB NOT NULL,
    user_id             BLOB NOT NULL,
    agent_id            BLOB NOT NULL,
    agent_revision      INTEGER NOT NULL,
    scenario_id         BLOB NOT NULL,
    scenario_revision   INTEGER NOT NULL,
    scenario_name       TEXT NOT NULL,
    repetition          INTEGER NOT NULL,
    position            INTEGER NOT NULL,       -- order within the suite
    source_run_id       BLOB,                   -- whose finished conversation was copied
    timeout_ms          INTEGER NOT NULL,       -- active time that it may use
    user_turns_planned  INTEGER NOT NULL,
    status              TEXT NOT NULL,
    stage               TEXT,
    waiting             TEXT,                   -- Waiting, JSON
    parked              INTEGER NOT NULL,       -- gave back its slots
    score               REAL,
    error_kind          TEXT,
    error_message       TEXT,
    end_reason          TEXT,
    attempt             INTEGER NOT NULL,       -- lease epoch, the fencing token
    recoveries          INTEGER NOT NULL,
    stalled             INTEGER NOT NULL,       -- recoveries in a row without a new turn
    lease_owner         TEXT,
    lease_until         INTEGER,
    deadline_at         INTEGER,
    active_ms           INTEGER NOT NULL,
    parked_ms           INTEGER NOT NULL,
    cancel_requested_at INTEGER,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    usage               TEXT NOT NULL,          -- Usage, JSON
    user_turns          INTEGER NOT NULL,
    turns               INTEGER NOT NULL        -- stored so far: the next one's index
) STRICT;
CREATE INDEX runs_by_suite ON runs (suite_id, position);
CREATE INDEX runs_unfinished ON runs (suite_id, status, position) WHERE status IN ('pending', 'running');
CREATE INDEX runs_held ON runs (lease_owner) WHERE lease_owner IS NOT NULL;
CREATE INDEX runs_of_user_unfinished ON runs (user_id) WHERE status IN ('pending', 'running');
CREATE INDEX runs_by_space ON runs (space_id, created_at DESC, id DESC);
CREATE INDEX runs_by_scenario ON runs (space_id, scenario_id, created_at DESC);
CREATE INDEX runs_by_agent ON runs (agent_id, scenario_id) WHERE status IN ('pending', 'running');

-- What was said, stored the moment it exists.
CREATE TABLE turns (
    run_id        BLOB NOT NULL REFERENCES runs (id),
    idx           INTEGER NOT NULL,
    speaker       TEXT NOT NULL,
    message       TEXT NOT NULL,
    tool_calls    TEXT,                         -- list of ToolCall, JSON; NULL = none
    tool          TEXT,                         -- ToolAnswer, JSON
    finish        TEXT,
    latency_ms    INTEGER,
    input_tokens  INTEGER,
    output_tokens INTEGER,
    at            INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx)
) STRICT;

-- Calls that were about to be made: what a crash may have paid for.
CREATE TABLE calls (
    id         BLOB PRIMARY KEY NOT NULL,       -- sent along as x-rehearsal-call
    run_id     BLOB NOT NULL,
    evaluation_id BLOB,                         -- of a re-evaluation
    attempt    INTEGER NOT NULL,                -- the lease epoch that decided it
    role       TEXT NOT NULL,                   -- agent, simulated_user, judge
    turn       INTEGER NOT NULL,                -- turns that stood then
    created_at INTEGER NOT NULL,
    outcome    TEXT,                            -- ok or the kind of error; NULL = open or lost
    attempts   INTEGER,                         -- HTTP requests that were made
    latency_ms INTEGER,
    done_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_run ON calls (run_id, created_at);

-- Judgings. `is_first` belongs to its run; others have a lease of their own.
CREATE TABLE evaluations (
    id           BLOB PRIMARY KEY NOT NULL,
    run_id       BLOB NOT NULL REFERENCES runs (id),
    suite_id     BLOB NOT NULL,
    space_id     BLOB NOT NULL,
    user_id      BLOB NOT NULL,
    is_first     INTEGER NOT NULL,
    status       TEXT NOT NULL,
    judge        TEXT NOT NULL,                 -- ModelRef, JSON
    body         TEXT NOT NULL,                 -- Evaluation without the raw reply, JSON
    raw_reply    TEXT,                          -- stored before it is parsed
    attempt      INTEGER NOT NULL,
    recoveries   INTEGER NOT NULL,
    stalled      INTEGER NOT NULL,
    lease_owner  TEXT,
    lease_until  INTEGER,
    deadline_at  INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX evaluations_by_run ON evaluations (run_id, created_at DESC);
CREATE UNIQUE INDEX evaluations_first ON evaluations (run_id) WHERE is_first = 1;
CREATE INDEX evaluations_unfinished ON evaluations (created_at) WHERE is_first = 0 AND status IN ('pending', 'running');

-- What streams tell, appended in the transaction of the change it tells of.
CREATE TABLE events (
    suite_id BLOB NOT NULL,
    seq      INTEGER NOT NULL,                  -- gapless per suite, from 1
    kind     TEXT NOT NULL,                     -- run, turn, finished
    run_id   BLOB,
    turn     INTEGER,                           -- of kind turn: joined when read
    payload  TEXT,                              -- of other kinds, JSON
    at       INTEGER NOT NULL,
    PRIMARY KEY (suite_id, seq)
) STRICT;

-- Answers of starts, given again for the same key.
CREATE TABLE idempotency_keys (
    user_id    BLOB NOT NULL,
    path       TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,                   -- the parsed request, for comparing
    suite_id   BLOB NOT NULL,
    response   TEXT NOT NULL,                   -- byte for byte
    created_at INTEGER NOT NULL,                -- kept for 24 h
    PRIMARY KEY (user_id, path, key)
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
