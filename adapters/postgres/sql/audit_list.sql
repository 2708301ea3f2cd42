-- One page, newest first, before $1 (null: from the newest); everything, or one enterprise, or one kind of action.
SELECT id, at, actor, address, action, enterprise, object, details FROM audit
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR enterprise = $2) AND ($3::text[] IS NULL OR action = ANY ($3))
ORDER BY id DESC LIMIT $4
