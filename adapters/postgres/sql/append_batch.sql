SELECT outcome, found_version, found_position, found_stream
FROM append_batch(
    $1, $2, $3, $4,
    $5::text::integer[], $6::text::integer[], $7::text::integer[], $8::text::integer[], $9::text::bigint[],
    $10::text::integer[], $11::text::integer[],
    $12, $13, $14, $15, $16::text::smallint[], $17, $18
)
