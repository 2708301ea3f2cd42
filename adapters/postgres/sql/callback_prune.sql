-- After so many days nobody calls back because of a task of ours.
WITH matters AS (
    DELETE FROM callbacks WHERE changed_at < clock_timestamp() - make_interval(days => $1)
)
DELETE FROM callback_talks WHERE talked_ms < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1::bigint * 86400000
