SELECT last_position FROM log_end()
