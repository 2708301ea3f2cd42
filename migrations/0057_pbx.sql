-- Which instance keeps which PBX's AMI connection (docs/decisions/0019). A claim counts while its node lives (0021_leases.sql).

CREATE TABLE pbx_claims (
    name text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C" NOT NULL,
    since timestamptz NOT NULL
);

-- Take what no living node holds; all of these names that this node holds then. Nothing when it does not live itself.
CREATE FUNCTION pbx_claim(node_id text, names text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM nodes WHERE id = node_id AND expires_at > clock_timestamp()) THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM unnest(names) AS u (name) LEFT JOIN pbx_claims c USING (name) LEFT JOIN nodes n ON n.id = c.node
        WHERE n.id IS NULL OR n.expires_at <= clock_timestamp()
    ) THEN
        INSERT INTO pbx_claims AS c (name, node, since)
        SELECT u.name, node_id, clock_timestamp() FROM unnest(names) AS u (name) ORDER BY u.name
        ON CONFLICT (name) DO UPDATE SET node = excluded.node, since = excluded.since
        WHERE NOT EXISTS (SELECT FROM nodes n WHERE n.id = c.node AND n.expires_at > clock_timestamp());
    END IF;
    RETURN QUERY SELECT c.name FROM pbx_claims c WHERE c.node = node_id AND c.name = ANY (names);
END
$$;
