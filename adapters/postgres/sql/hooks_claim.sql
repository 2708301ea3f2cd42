-- Take an enterprise's webhooks in hand, unless another instance has them; a new row gets the secret offered.
INSERT INTO directory_hooks AS h (enterprise, secret, account, revision, claimed_until)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
ON CONFLICT (enterprise) DO UPDATE SET claimed_until = excluded.claimed_until WHERE h.claimed_until < now()
RETURNING enterprise, secret, account, revision, state
