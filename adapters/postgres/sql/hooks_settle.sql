UPDATE directory_hooks
SET secret = $2, account = $3, revision = $4, mark = $5, state = $6, reason = $7, checked_at = now(),
    next_at = now() + make_interval(secs => $8), claimed_until = '-infinity'
WHERE enterprise = $1
