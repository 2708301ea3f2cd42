SELECT enterprise, max(started_ms) AS started_ms FROM switchboard_clicks WHERE started_ms >= $1 GROUP BY enterprise
