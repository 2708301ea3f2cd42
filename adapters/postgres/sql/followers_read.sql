SELECT name, position FROM checkpoints WHERE name = ANY ($1::text[])
