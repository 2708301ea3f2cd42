INSERT INTO directory_rosters AS d (account, enterprise, roster, asked_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (account) DO UPDATE SET roster = excluded.roster, asked_ms = excluded.asked_ms WHERE excluded.asked_ms >= d.asked_ms
