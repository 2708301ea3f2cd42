-- Calls of all enterprises in the order of their streams; $1, $2: after this place. 'call0' is what follows everything in 'call/'.
SELECT enterprise, stream FROM streams
WHERE (enterprise, stream) > ($1, $2) AND stream > 'call/' AND stream < 'call0'
ORDER BY enterprise, stream
LIMIT $3
