SELECT position FROM checkpoints WHERE name = ANY ($1::text[]) ORDER BY name FOR UPDATE
