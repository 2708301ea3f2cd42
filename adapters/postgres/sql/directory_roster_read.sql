SELECT roster FROM directory_rosters WHERE account = $1
