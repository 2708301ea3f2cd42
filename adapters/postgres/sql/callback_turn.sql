-- One at a time in an enterprise, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended($1, 8050))
