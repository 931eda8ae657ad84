-- How a connection authenticates: ConnectionAuth, JSON, without its secret. The secret of
-- every scheme is in `key_ciphertext`.
ALTER TABLE connections ADD COLUMN auth TEXT NOT NULL DEFAULT '{"scheme":"bearer"}';
UPDATE connections SET auth = '{"scheme":"x_api_key"}' WHERE kind = 'anthropic';
UPDATE connections SET auth = '{"scheme":"none"}' WHERE kind = 'demo';
-- Query parameters of every request. Secret values are masked in `query`.
ALTER TABLE connections ADD COLUMN query TEXT NOT NULL DEFAULT '{}';            -- JSON object
ALTER TABLE connections ADD COLUMN secret_query BLOB;                           -- JSON object, encrypted like the key
-- The timeout of one call; NULL for the server's default.
ALTER TABLE connections ADD COLUMN timeout_seconds INTEGER;
-- The preset that the form was filled in for.
ALTER TABLE connections ADD COLUMN preset TEXT;
-- The models that the server listed when the connection was tested last, for suggestions.
ALTER TABLE connections ADD COLUMN models TEXT NOT NULL DEFAULT '[]';           -- JSON list of texts
