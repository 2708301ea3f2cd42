SELECT leg, call FROM switchboard_links WHERE enterprise = $1 AND leg = ANY ($2::text[])
