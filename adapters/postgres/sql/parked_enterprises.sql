SELECT enterprise, count(*) AS calls FROM calls WHERE parked <> '' GROUP BY enterprise ORDER BY enterprise
