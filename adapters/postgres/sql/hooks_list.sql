SELECT enterprise, account, revision, mark, state, reason, extract(epoch FROM checked_at) AS checked_s, next_at <= now() AS is_due
FROM directory_hooks ORDER BY enterprise
