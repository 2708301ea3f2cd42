-- Nothing when another instance is at it right now, or has moved on from where our batch begins.
--
-- In this transaction only: the server ends the session of an instance that stopped in the middle of a batch, and with it the
-- lock on the checkpoint: the others go on. And its commit waits for no disk: what it keeps is derived from the log, and a crash
-- of the server that takes it back takes back all of it with the checkpoint, so that the batch is taken again and changes nothing.
SELECT position, set_config('idle_in_transaction_session_timeout', $3, true), set_config('synchronous_commit', 'off', true)
FROM checkpoints WHERE name = $1 AND position = $2 FOR UPDATE SKIP LOCKED
