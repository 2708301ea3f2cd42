UPDATE switchboard_links SET relayed = greatest(relayed, $4) WHERE enterprise = $1 AND leg = $2 AND call = $3
