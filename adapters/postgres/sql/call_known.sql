-- by its own id (the events know it before the index does), or by MoySklad's
SELECT $3::text FROM streams WHERE enterprise = $1 AND stream = $2
UNION ALL
SELECT call FROM calls WHERE enterprise = $1 AND moysklad_call = $4
LIMIT 1
