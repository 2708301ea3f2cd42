SELECT greatest(base, (SELECT max(position) FROM events)) FROM log_head
