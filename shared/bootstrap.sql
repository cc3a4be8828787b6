-- Makes the two databases and, for each, a role that owns and migrates and a role that only serves.
-- Idempotent; run by psql 15 or later as a superuser: by `python -m tools run`, or as an init script of the official
-- postgres image. The passwords come from the environment, so that no command line shows them.
\set ON_ERROR_STOP on
\set QUIET on
\getenv auth_owner_password PARLEY_AUTH_OWNER_PASSWORD
\getenv auth_password PARLEY_AUTH_PASSWORD
\getenv chat_owner_password PARLEY_CHAT_OWNER_PASSWORD
\getenv chat_password PARLEY_CHAT_PASSWORD

-- A statement with a password in it must reach neither the server's log nor pg_stat_statements.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = off;
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['parley_auth_owner', 'parley_auth', 'parley_chat_owner', 'parley_chat']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

ALTER ROLE parley_auth_owner PASSWORD :'auth_owner_password';
ALTER ROLE parley_auth PASSWORD :'auth_password';
ALTER ROLE parley_chat_owner PASSWORD :'chat_owner_password';
ALTER ROLE parley_chat PASSWORD :'chat_password';

-- The owners read statistics of all sessions, for `make db-verify`.
GRANT pg_monitor TO parley_auth_owner, parley_chat_owner;

SELECT format('CREATE DATABASE %I OWNER %I', name, name || '_owner')
FROM unnest(ARRAY['parley_auth', 'parley_chat']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec

REVOKE ALL ON DATABASE parley_auth, parley_chat FROM PUBLIC;
GRANT CONNECT ON DATABASE parley_auth TO parley_auth;
GRANT CONNECT ON DATABASE parley_chat TO parley_chat;

-- Inside each database: the serving role may use what the owner makes in schema public, and make nothing itself.
\connect parley_auth
SET client_min_messages = warning;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO parley_auth;
ALTER DEFAULT PRIVILEGES FOR ROLE parley_auth_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO parley_auth;
ALTER DEFAULT PRIVILEGES FOR ROLE parley_auth_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO parley_auth;
SELECT 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements'
FROM pg_available_extensions WHERE name = 'pg_stat_statements'
\gexec

\connect parley_chat
SET client_min_messages = warning;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO parley_chat;
ALTER DEFAULT PRIVILEGES FOR ROLE parley_chat_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO parley_chat;
ALTER DEFAULT PRIVILEGES FOR ROLE parley_chat_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO parley_chat;
SELECT 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements'
FROM pg_available_extensions WHERE name = 'pg_stat_statements'
\gexec
