-- In this transaction only. The server ends the session of an instance that stopped in the middle of a batch, and with it
-- the lock on the checkpoint: the others go on.
SELECT set_config('idle_in_transaction_session_timeout', $1, true)
