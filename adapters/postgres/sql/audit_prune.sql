DELETE FROM audit WHERE at < now() - make_interval(days => $1::integer) OR id <= (SELECT max(id) FROM audit) - $2::bigint
