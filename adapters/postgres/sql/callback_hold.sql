-- The first to be told stays the one that tells a person, for as long as nobody is told otherwise.
INSERT INTO callback_holds (enterprise, call, until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (enterprise) DO UPDATE SET until = excluded.until
RETURNING call
