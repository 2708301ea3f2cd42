SELECT enterprise, stream, version, position, id, type, schema, data, recorded_ms FROM stream_after($1, $2, $3)
