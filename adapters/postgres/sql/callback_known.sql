SELECT missed_ms, closed_by FROM callbacks WHERE enterprise = $1 AND call = $2
