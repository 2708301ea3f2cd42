DELETE FROM sessions WHERE id_hash IN (
    SELECT id_hash FROM sessions WHERE link IS NOT DISTINCT FROM $1 ORDER BY made_at DESC, id_hash OFFSET $2
)
