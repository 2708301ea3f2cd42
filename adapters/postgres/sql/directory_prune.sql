-- Forget what nobody has asked about for long, and of an enterprise with too many rows all but the latest $3.
WITH crowded AS (
    SELECT enterprise, (
        SELECT asked_ms FROM directory_contacts AS own WHERE own.enterprise = each.enterprise
        ORDER BY asked_ms DESC OFFSET $3::bigint - 1 LIMIT 1
    ) AS least_ms
    FROM directory_contacts AS each GROUP BY enterprise HAVING count(*) > $3::bigint
)
DELETE FROM directory_contacts AS d
WHERE asked_ms < $1::bigint OR (contact IS NULL AND asked_ms < $2::bigint)
   OR EXISTS (SELECT FROM crowded WHERE crowded.enterprise = d.enterprise AND d.asked_ms < crowded.least_ms)
