-- Standard names for columns. SQLite renames them in indexes and references too.
ALTER TABLE runs RENAME COLUMN attempt TO lease_epoch;                          -- the fencing token
ALTER TABLE runs RENAME COLUMN stalled TO recoveries_without_progress;
ALTER TABLE evaluations RENAME COLUMN attempt TO lease_epoch;
ALTER TABLE evaluations RENAME COLUMN stalled TO recoveries_without_progress;
ALTER TABLE calls RENAME COLUMN attempt TO lease_epoch;                         -- the epoch that started the call
ALTER TABLE suites RENAME COLUMN frozen TO model_snapshot;                      -- the models when the suite was created, JSON
