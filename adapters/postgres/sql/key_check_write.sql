-- $2: also in the place of another key's
INSERT INTO key_check (word) VALUES ($1)
ON CONFLICT (the_row) DO UPDATE SET word = excluded.word WHERE $2::boolean
