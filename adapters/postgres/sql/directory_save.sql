-- What was learned, a batch at a time (people: uuids with blanks between them); the later question's answer stays, whichever instance had it. A change that was told of
-- meanwhile stays with the row: whether it is in the answer is seen by comparing the times.
INSERT INTO directory_contacts AS d (account, number, enterprise, contact, people, is_blank, known, asked_ms)
SELECT u.account, u.number, u.enterprise, u.contact, string_to_array(u.people, ' '), u.is_blank, u.known, u.asked_ms
FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::json[], $8::bigint[])
    AS u (account, number, enterprise, contact, people, is_blank, known, asked_ms)
ON CONFLICT (account, number) DO UPDATE
SET contact = excluded.contact, people = excluded.people, is_blank = excluded.is_blank, known = excluded.known,
    asked_ms = excluded.asked_ms
WHERE excluded.asked_ms >= d.asked_ms
