SELECT known, changed_ms FROM directory_contacts WHERE account = $1 AND number = $2
