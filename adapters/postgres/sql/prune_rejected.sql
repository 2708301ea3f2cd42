DELETE FROM rejected_input
WHERE at < now() - make_interval(days => $1::integer)
   OR id <= (SELECT max(id) FROM rejected_input) - $2::bigint
