-- Costs, prices and budgets. Amounts are billionths of a US dollar.

-- What an answered call cost; NULL = unknown, or not answered.
ALTER TABLE calls ADD COLUMN cost_nano_usd INTEGER;

-- The known cost of the calls of a suite, without rejudges, and how many of its calls have
-- an unknown cost. NULL for suites that were created before costs were known.
ALTER TABLE suites ADD COLUMN spent_nano_usd INTEGER;
ALTER TABLE suites ADD COLUMN unpriced_calls INTEGER;
-- What the suite may spend; NULL = no limit.
ALTER TABLE suites ADD COLUMN budget_nano_usd INTEGER;
ALTER TABLE suites ADD COLUMN budget_action TEXT NOT NULL DEFAULT 'finish_calls'; -- what happens to calls in flight

-- What a user may spend per day; NULL = the default of the server.
ALTER TABLE users ADD COLUMN daily_budget_nano_usd INTEGER;

-- What the calls of a user cost per day (UTC), with rejudges. Kept when suites are deleted.
CREATE TABLE daily_spending (
    user_id        BLOB NOT NULL,
    day            INTEGER NOT NULL,            -- days since 1970
    spent_nano_usd INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL,
    PRIMARY KEY (user_id, day)
) STRICT, WITHOUT ROWID;

-- A trigger adds each answered call to these sums in the transaction of its reply, so that
-- they are never recounted and a restart forgets nothing.
CREATE TRIGGER calls_spent AFTER UPDATE OF outcome ON calls
WHEN NEW.outcome = 'ok' AND OLD.outcome IS NULL BEGIN
    UPDATE suites SET spent_nano_usd = min(9223372036854775807 - ifnull(NEW.cost_nano_usd, 0), spent_nano_usd)
            + ifnull(NEW.cost_nano_usd, 0),
        unpriced_calls = unpriced_calls + (NEW.cost_nano_usd IS NULL)
    WHERE NEW.evaluation_id IS NULL AND id = (SELECT suite_id FROM runs WHERE id = NEW.run_id);
    INSERT INTO daily_spending (user_id, day, spent_nano_usd, unpriced_calls)
        SELECT user_id, NEW.done_at / 86400000, ifnull(NEW.cost_nano_usd, 0), NEW.cost_nano_usd IS NULL
        FROM runs WHERE id = NEW.run_id
        ON CONFLICT (user_id, day) DO UPDATE SET
            spent_nano_usd = min(9223372036854775807 - excluded.spent_nano_usd, spent_nano_usd)
                + excluded.spent_nano_usd,
            unpriced_calls = unpriced_calls + excluded.unpriced_calls;
END;

-- The prices that users entered, per million tokens. Server-wide connections have no row of
-- their own, so connection_id refers to no table.
CREATE TABLE model_prices (
    space_id              BLOB NOT NULL,
    connection_id         BLOB NOT NULL,
    model                 TEXT NOT NULL,        -- * = every model without a price of its own
    input_nano_usd        INTEGER NOT NULL,
    cached_input_nano_usd INTEGER NOT NULL,
    cache_write_nano_usd  INTEGER NOT NULL,
    output_nano_usd       INTEGER NOT NULL,
    max_input_tokens      INTEGER,              -- valid for calls of at most so many; NULL = all
    as_of                 TEXT NOT NULL,        -- a date
    PRIMARY KEY (space_id, connection_id, model)
) STRICT, WITHOUT ROWID;
