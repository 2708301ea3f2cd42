SELECT max(talked_ms) FROM callback_talks WHERE enterprise = $1 AND client = ANY ($2::text[])
