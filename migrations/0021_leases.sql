-- Who attends to which enterprise, over all instances (docs/decisions/0010).
--
-- Each function is one statement of its caller, in autocommit: an instance that is stopped or cut off never sits on a lock
-- between two statements. Times are this server's, by clock_timestamp(): a transaction's start may be long ago.

-- One row for each running instance. host, pid and process_started name its process, so that a neighbour on the same host
-- can tell that it has ended (adapters/postgres/neighbours.py).
CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY,
    address text NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    report jsonb NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    process_started bigint NOT NULL
) WITH (fillfactor = 50);

-- One row for each enterprise that ever had an owner. node null: free. quiet_since: when the owner before the one of now may
-- last have asked MoySklad for it (null: there was none). An owner is set to null where its node is deleted, in the same
-- transaction, and nowhere is it concluded from a node that is absent: a snapshot may be older than that node.
CREATE TABLE owners (
    enterprise text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C",
    account text COLLATE "C" NOT NULL,
    quiet_since timestamptz
);
CREATE INDEX owners_account ON owners (account);
CREATE INDEX owners_node ON owners (node);

-- Its row is locked by whoever changes nodes or owners, one at a time; beats alone do without. Unlogged: it is empty after a
-- crash of the server and on a standby that took over. Beats are committed without waiting for the disk, so the last of them
-- may be lost then, and the clock may be another: whoever finds it empty gives every node a fresh lease.
CREATE UNLOGGED TABLE lease_turn (
    the_row boolean PRIMARY KEY DEFAULT true CHECK (the_row)
);

CREATE FUNCTION lease_lock(lease_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        PERFORM 1 FROM lease_turn FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO lease_turn DEFAULT VALUES ON CONFLICT DO NOTHING;
        IF FOUND THEN
            UPDATE nodes SET expires_at = clock_timestamp() + make_interval(secs => lease_ms / 1000.0);
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION lease_join(
    node_id text, node_address text, node_host text, node_pid integer, node_process_started bigint,
    lease_ms integer, keep_days integer
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lease_lock(lease_ms);
    INSERT INTO nodes (id, address, started_at, expires_at, report, host, pid, process_started)
    VALUES (
        node_id, node_address, clock_timestamp(), clock_timestamp() + make_interval(secs => lease_ms / 1000.0), '{}',
        node_host, node_pid, node_process_started
    );
    DELETE FROM owners WHERE node IS NULL AND quiet_since < clock_timestamp() - make_interval(days => keep_days);
END
$$;

-- The living, if the one that beats is among them; otherwise nothing.
CREATE FUNCTION lease_beat(node_id text, node_report jsonb, lease_ms integer) RETURNS SETOF nodes LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM lease_turn) THEN
        PERFORM lease_lock(lease_ms);
    END IF;
    UPDATE nodes SET expires_at = clock_timestamp() + make_interval(secs => lease_ms / 1000.0), report = node_report
    WHERE id = node_id AND expires_at > clock_timestamp();
    IF FOUND THEN
        RETURN QUERY SELECT * FROM nodes WHERE expires_at > clock_timestamp() ORDER BY started_at, id;
    END IF;
END
$$;

-- Remove the nodes whose lease ran out. They may have asked MoySklad until self_ms after the start of their last beat, which
-- was lease_ms before the end of their lease at the latest. DELETE waits for a beat under way and looks again.
CREATE FUNCTION lease_reap_lapsed(lease_ms integer, self_ms integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone record;
BEGIN
    FOR gone IN DELETE FROM nodes WHERE expires_at < clock_timestamp() RETURNING id, expires_at LOOP
        UPDATE owners SET node = NULL, quiet_since = gone.expires_at - make_interval(secs => (lease_ms - self_ms) / 1000.0)
        WHERE node = gone.id;
    END LOOP;
END
$$;

-- Remove nodes that left by themselves, or whose process is known to have ended.
CREATE FUNCTION lease_remove(node_ids text[], lease_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lease_lock(lease_ms);
    DELETE FROM nodes WHERE id = ANY (node_ids);
    UPDATE owners SET node = NULL, quiet_since = clock_timestamp() WHERE node = ANY (node_ids);
END
$$;

CREATE FUNCTION lease_release(node_id text, names text[], lease_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lease_lock(lease_ms);
    UPDATE owners SET node = NULL, quiet_since = clock_timestamp() WHERE node = node_id AND enterprise = ANY (names);
END
$$;

-- Take what is free. An enterprise is not free while another node holds one of the same account: a limit is kept by one.
CREATE FUNCTION lease_claim(node_id text, names text[], accounts text[], lease_ms integer, self_ms integer)
RETURNS TABLE (claimed text, quiet_ms bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lease_lock(lease_ms);
    PERFORM lease_reap_lapsed(lease_ms, self_ms);
    IF NOT EXISTS (SELECT FROM nodes WHERE id = node_id AND expires_at > clock_timestamp()) THEN
        RETURN;
    END IF;
    INSERT INTO owners AS o (enterprise, node, account)
    SELECT u.name, node_id, u.account
    FROM unnest(names, accounts) AS u (name, account)
    WHERE NOT EXISTS (SELECT FROM owners h WHERE h.account = u.account AND h.node <> node_id)
       OR EXISTS (SELECT FROM owners h WHERE h.enterprise = u.name AND h.node = node_id)
    ON CONFLICT (enterprise) DO UPDATE SET node = excluded.node, account = excluded.account
    WHERE o.node IS NULL OR o.node = excluded.node;
    RETURN QUERY
    SELECT o.enterprise,
        (SELECT floor(extract(epoch FROM clock_timestamp() - max(q.quiet_since)) * 1000)::bigint
         FROM owners q WHERE q.enterprise = o.enterprise OR q.account = o.account)
    FROM owners o
    WHERE o.enterprise = ANY (names) AND o.node = node_id;
END
$$;
