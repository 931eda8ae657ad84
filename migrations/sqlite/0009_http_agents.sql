-- The session of a conversation with a deployed agent (connections of kind http_agent).
ALTER TABLE runs ADD COLUMN session_id TEXT;
-- The call that was sent to a deployed agent and whose outcome is not stored yet. After a
-- crash it says that the agent may have acted on the message.
ALTER TABLE runs ADD COLUMN unconfirmed_call BLOB;
