SELECT enterprise, stream, version, position, id, type, schema, data, recorded_ms FROM log_after($1, $2)
