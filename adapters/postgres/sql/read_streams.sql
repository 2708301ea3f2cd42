SELECT enterprise, stream, version, position, id, type, schema, data, recorded_ms FROM read_streams($1, $2, $3)
