INSERT INTO rejected_input (endpoint, enterprise, error, field, hint, body)
SELECT $1, enterprise, error, field, hint, body
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS refused (enterprise, error, field, hint, body, nth)
ORDER BY nth
