-- The try was good: it counts for nothing.
UPDATE login_failures SET count = greatest(count - 1, 0) WHERE source IN ($1, '*')
