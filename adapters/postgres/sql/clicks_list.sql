-- An enterprise's clicks, newest first, before a moment (of those of that very moment: before a name), and only those of which nothing good came where that is asked for.
SELECT click, at_ms, stage, extension, number, uid, signature, way, error, remedy, ambiguous, call, repeats FROM clicks
WHERE enterprise = $1 AND (at_ms, click) < ($2, $5) AND ($3 = false OR stage IN ('refused', 'failed', 'doubted', 'expired', 'silent'))
ORDER BY at_ms DESC, click DESC
LIMIT $4
