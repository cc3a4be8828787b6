-- name: find
-- What an account has beside its password.
-- $1 the user
-- index: totp_secrets_pkey, recovery_codes_pkey, passkeys_slot
SELECT
    (SELECT confirm_time FROM totp_secrets WHERE user_id = $1) AS totp_confirm_time,
    (SELECT count(*) FROM recovery_codes WHERE user_id = $1) AS recovery_code_count,
    (SELECT count(*) FROM passkeys WHERE user_id = $1) AS passkey_count;
