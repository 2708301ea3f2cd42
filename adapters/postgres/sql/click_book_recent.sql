-- An enterprise's clicks of the last hour at most, newest first; as many as could have been let through.
SELECT click, extension, number, uid, at_ms FROM click_book
WHERE enterprise = $1 AND at_ms > $2
ORDER BY at_ms DESC, click DESC
LIMIT 5000
