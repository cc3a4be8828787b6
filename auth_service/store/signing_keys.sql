-- name: list_all
-- All keys; there are a handful at any time.
-- index: none, because it reads the whole of a small table
SELECT kid, algorithm, public_jwk, private_key_sealed, state
FROM signing_keys
ORDER BY create_time
LIMIT 100;

-- name: insert_if_none_signs
-- $1 kid, $2 algorithm, $3 public half as a JWK, $4 private half, sealed
-- index: none, because it only inserts
INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key_sealed, state)
VALUES ($1, $2, $3, $4, 'SIGNING')
ON CONFLICT (state) WHERE state = 'SIGNING' DO NOTHING;
