-- Test profiles: named sets of variables that are filled in into agents and scenarios. The
-- content is in the revisions.
CREATE TABLE profiles (
    id         BLOB PRIMARY KEY NOT NULL,
    space_id   BLOB NOT NULL REFERENCES spaces (id),
    name       TEXT NOT NULL,                   -- of the newest revision, for lists
    revision   INTEGER NOT NULL,                -- the newest
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,                         -- hidden; suites keep their revision
    cleanup_at INTEGER NOT NULL DEFAULT 0       -- when the rows of a deleted profile are checked next
) STRICT, WITHOUT ROWID;
CREATE INDEX profiles_by_name ON profiles (space_id, name, id) WHERE deleted_at IS NULL;
CREATE INDEX profiles_deleted ON profiles (cleanup_at) WHERE deleted_at IS NOT NULL;

-- Every save, unchanged for ever.
CREATE TABLE profile_revisions (
    profile_id BLOB NOT NULL REFERENCES profiles (id),
    revision   INTEGER NOT NULL,
    body       TEXT NOT NULL,                   -- ProfileSpec, JSON, without secret values
    secrets    BLOB,                            -- the secret values by name, JSON, encrypted like the key of a connection
    created_at INTEGER NOT NULL,
    PRIMARY KEY (profile_id, revision)
) STRICT;

-- The profile that a suite was started with; NULL for none.
ALTER TABLE suites ADD COLUMN profile_id BLOB;
ALTER TABLE suites ADD COLUMN profile_revision INTEGER;
ALTER TABLE suites ADD COLUMN profile_name TEXT;    -- at that revision
-- The time for which {{today}} and {{now}} stand in all runs of the suite. NULL for suites
-- from before there were variables: their texts are used as they are.
ALTER TABLE suites ADD COLUMN variables_at INTEGER;
CREATE INDEX suites_by_profile ON suites (profile_id, profile_revision) WHERE profile_id IS NOT NULL;
