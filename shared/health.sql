-- name: ping
-- index: none, because it reads no table
SELECT 1;
