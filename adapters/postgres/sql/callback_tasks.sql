SELECT task FROM callbacks WHERE enterprise = $1 AND closed_by = $2 AND task <> '' ORDER BY call
