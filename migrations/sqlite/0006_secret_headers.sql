-- Extra headers that carry secrets. Their values are masked in `headers`.
ALTER TABLE connections ADD COLUMN secret_headers BLOB;                         -- JSON object, encrypted like the key
