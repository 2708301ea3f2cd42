-- The bridges named, those of the channels named, and those of every channel met on the way: two steps reach whatever a
-- new link can join in one batch.
WITH near AS (
    SELECT bridge, channel, trunk FROM switchboard_members
    WHERE enterprise = $1 AND (bridge = ANY ($2::text[]) OR channel = ANY ($3::text[]))
), wider AS (
    SELECT m.bridge, m.channel, m.trunk FROM switchboard_members m
    WHERE m.enterprise = $1 AND (m.bridge IN (SELECT bridge FROM near) OR m.channel IN (SELECT channel FROM near))
)
SELECT m.bridge, m.channel, m.trunk FROM switchboard_members m
WHERE m.enterprise = $1 AND m.bridge IN (SELECT bridge FROM wider)
