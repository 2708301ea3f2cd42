-- What the observations of a batch can touch, of all its enterprises at once (adapters/switchboard.py, Near): the bridges named,
-- those of the channels named, and those of every channel met on the way (two steps reach whatever a new link can join in one
-- batch); the links of all that; their calls, and calls of the same customers that were up at the time.
--
-- One statement instead of three for each enterprise: with 200 enterprises in a batch it stood before every card.
-- Columns by "what": member (one: bridge, two: channel, flag: a trunk's), link (one: leg, two: call, first_ms: relayed),
-- call (one: call, two: number, kind, flag: absorbed, first_ms, ended_ms).
CREATE FUNCTION switchboard_near(
    leg_enterprise text[],
    leg_name text[],
    bridge_enterprise text[],
    bridge_name text[],
    channel_enterprise text[],
    channel_name text[],
    number_enterprise text[],
    number_digits text[],
    number_first bigint[],
    number_ended bigint[]
)
RETURNS TABLE (
    what text, enterprise text, one text, two text, kind text, flag boolean, first_ms bigint, ended_ms bigint
)
LANGUAGE plpgsql STABLE
-- Whatever the tables' size was when the plan was made: go by the keys.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH asked_channels AS (
        SELECT a.e, a.c FROM unnest(channel_enterprise, channel_name) AS a (e, c)
    ), near AS (
        SELECT m.enterprise AS e, m.bridge AS b, m.channel AS c
        FROM unnest(bridge_enterprise, bridge_name) AS a (e, b)
        JOIN switchboard_members m ON m.enterprise = a.e AND m.bridge = a.b
        UNION
        SELECT m.enterprise, m.bridge, m.channel
        FROM asked_channels a JOIN switchboard_members m ON m.enterprise = a.e AND m.channel = a.c
    ), wider AS (
        SELECT n.e, n.b FROM near n
        UNION
        SELECT m.enterprise, m.bridge FROM near n JOIN switchboard_members m ON m.enterprise = n.e AND m.bridge = n.b
        UNION
        SELECT m.enterprise, m.bridge FROM near n JOIN switchboard_members m ON m.enterprise = n.e AND m.channel = n.c
    ), members AS MATERIALIZED (
        SELECT m.enterprise AS e, m.bridge AS b, m.channel AS c, m.trunk
        FROM wider w JOIN switchboard_members m ON m.enterprise = w.e AND m.bridge = w.b
    ), channels AS MATERIALIZED (
        SELECT a.e, a.c FROM asked_channels a
        UNION
        SELECT m.e, m.c FROM members m
    ), legs AS (
        SELECT a.e, a.l FROM unnest(leg_enterprise, leg_name) AS a (e, l)
        UNION
        SELECT m.e, 'bridge/' || m.b FROM members m
        UNION
        SELECT c.e, 'channel/' || c.c FROM channels c
    ), links AS MATERIALIZED (
        SELECT l.enterprise AS e, l.leg, l.call, l.relayed
        FROM legs g JOIN switchboard_links l ON l.enterprise = g.e AND l.leg = g.l
    ), calls AS (
        SELECT c.enterprise, c.call, c.number, c.kind, c.absorbed, c.first_ms, c.ended_ms
        FROM (SELECT c.e, c.c FROM channels c UNION SELECT l.e, l.call FROM links l) AS w (e, c)
        JOIN switchboard_calls c ON c.enterprise = w.e AND c.call = w.c
        UNION
        SELECT c.enterprise, c.call, c.number, c.kind, c.absorbed, c.first_ms, c.ended_ms
        FROM unnest(number_enterprise, number_digits, number_first, number_ended) AS a (e, n, first, ended)
        JOIN switchboard_calls c ON c.enterprise = a.e AND c.number = a.n AND c.number <> '' AND c.first_ms >= a.first
            AND (c.ended_ms IS NULL OR c.ended_ms >= a.ended)
    )
    SELECT 'member', m.e, m.b, m.c, NULL, m.trunk, NULL::bigint, NULL::bigint FROM members m
    UNION ALL
    SELECT 'link', l.e, l.leg, l.call, NULL, NULL, l.relayed::bigint, NULL FROM links l
    UNION ALL
    SELECT 'call', c.enterprise, c.call, c.number, c.kind, c.absorbed, c.first_ms, c.ended_ms FROM calls c;
END
$$;
