-- name: indexes
-- Every index with what is known of its use since the statistics began.
-- index: none, because it reads the catalogue
SELECT
    i.relname AS name, t.relname AS table_name, pg_get_indexdef(i.oid) AS definition, x.indisunique AS is_unique,
    x.indpred IS NOT NULL AS is_partial, x.indisvalid AND x.indisready AS is_valid,
    coalesce(s.idx_scan, 0) AS scans, pg_relation_size(i.oid) AS bytes
FROM pg_index x
INNER JOIN pg_class i ON i.oid = x.indexrelid
INNER JOIN pg_class t ON t.oid = x.indrelid
LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.oid
WHERE t.relnamespace = 'public'::regnamespace
ORDER BY t.relname, i.relname;

-- name: tables
-- Every table: rows, reads, changes, and where its pages were found.
-- index: none, because it reads the catalogue
SELECT
    s.relname AS name, s.n_live_tup AS rows, s.n_dead_tup AS dead, s.seq_scan AS sequential_scans,
    coalesce(s.idx_scan, 0) AS index_scans, s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot_updates,
    pg_total_relation_size(s.relid) AS bytes,
    coalesce(io.heap_blks_hit, 0) AS table_hits, coalesce(io.heap_blks_read, 0) AS table_reads,
    coalesce(io.idx_blks_hit, 0) AS index_hits, coalesce(io.idx_blks_read, 0) AS index_reads
FROM pg_stat_user_tables s
INNER JOIN pg_statio_user_tables io ON io.relid = s.relid
WHERE s.schemaname = 'public'
ORDER BY pg_total_relation_size(s.relid) DESC;

-- name: bare_foreign_keys
-- Foreign keys without an index that begins with their columns: a deletion on the other side reads the whole table.
-- index: none, because it reads the catalogue
SELECT c.conname AS name, c.conrelid::regclass::text AS table_name
FROM pg_constraint c
WHERE
    c.contype = 'f' AND c.connamespace = 'public'::regnamespace
    AND NOT EXISTS (
        SELECT FROM pg_index x
        WHERE
            x.indrelid = c.conrelid AND x.indisvalid AND x.indpred IS NULL
            AND (x.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
    )
ORDER BY c.conname;

-- name: connections
-- Who is connected, by the name that each pool gives itself.
-- index: none, because it reads the statistics
SELECT
    application_name AS pool, count(*) AS open, count(*) FILTER (WHERE state = 'active') AS active,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS in_transaction
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'parley%'
GROUP BY application_name
ORDER BY application_name;

-- name: statistics_begin
-- index: none, because it reads the statistics
SELECT coalesce(stats_reset, pg_postmaster_start_time()) FROM pg_stat_database WHERE datname = current_database();
