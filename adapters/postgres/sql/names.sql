SELECT extension, name FROM statistics_names WHERE enterprise = $1 ORDER BY extension LIMIT $2
