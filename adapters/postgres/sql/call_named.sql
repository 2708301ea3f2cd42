-- Calls by name: by their own or by MoySklad's, of one enterprise or of any; what they are legs of, too.
WITH named AS (
    SELECT enterprise, call FROM calls WHERE moysklad_call = $3 AND ($1::text IS NULL OR enterprise = $1)
    UNION
    SELECT c.enterprise, c.call FROM public.enterprises p JOIN calls c ON c.enterprise = p.number AND c.call = $2
    WHERE $1::text IS NULL
    UNION
    SELECT enterprise, call FROM calls WHERE enterprise = $1 AND call = $2
)
SELECT enterprise, call FROM named
UNION
SELECT n.enterprise, e.data ->> 'into' FROM named n
JOIN events e ON e.enterprise = n.enterprise AND e.stream = 'call/' || n.call AND e.type = 'leg_absorbed'
LIMIT 50
