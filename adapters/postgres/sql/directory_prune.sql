-- Forget what nobody has asked about for long, and of each enterprise all but the latest.
DELETE FROM directory_contacts
WHERE asked_ms < $1::bigint OR (contact IS NULL AND asked_ms < $2::bigint)
   OR (account, number) IN (
       SELECT account, number FROM (
           SELECT account, number, row_number() OVER (PARTITION BY enterprise ORDER BY asked_ms DESC) AS place
           FROM directory_contacts
       ) AS ordered WHERE place > $3::bigint
   )
