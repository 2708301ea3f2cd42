SELECT relayed FROM switchboard_links WHERE enterprise = $1 AND leg = $2 AND call = $3
