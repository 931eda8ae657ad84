-- How long a run has waited behind open circuits: a budget of the whole run,
-- so what its earlier calls waited has to be remembered.
ALTER TABLE runs ADD COLUMN circuit_ms INTEGER NOT NULL DEFAULT 0;
