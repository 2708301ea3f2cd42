INSERT INTO callback_talks (enterprise, client, talked_ms)
SELECT $1, client, $3 FROM unnest($2::text[]) AS client
ON CONFLICT (enterprise, client) DO UPDATE SET talked_ms = greatest(callback_talks.talked_ms, excluded.talked_ms)
