SELECT pg_notify('ms_calls', $1)
