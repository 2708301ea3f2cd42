UPDATE streams SET due_ms = $4, urgency = $5 WHERE enterprise = $1 AND stream = $2 AND version = $3
