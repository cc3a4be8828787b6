"""What docs/operations.md and docs/database.md say in numbers and names is what the code does."""

import re
from datetime import timedelta

import asyncpg
import pytest

from auth_service import (
    admissions,
    api_keys,
    ceremonies,
    challenge_tokens,
    emails,
    key_rotation,
    keys,
    last_uses,
    limits,
    mailed_codes,
    one_time_codes,
    password_hashes,
    passwords,
    recovery_codes,
    refresh_tokens,
    revocations,
    scopes,
    service_accounts,
    sessions,
    totp,
    totp_codes,
)
from auth_service import cleanup as auth_cleanup
from auth_service.config import AuthConfig
from auth_service.mail import mails, sender
from auth_service.mail.mails import MailKind
from auth_service.rpc import api_keys as rpc_api_keys
from auth_service.rpc import parse as auth_parse
from auth_service.rpc import service_accounts as rpc_service_accounts
from auth_service.rpc import user_imports
from chat_service import (
    attempts,
    blocks,
    conversation_watches,
    diffs,
    erasures,
    exports,
    imports,
    presence,
    questions,
    retention,
    runs,
    searches,
    streams,
    user_watches,
)
from chat_service import generation as chat_generation
from chat_service import parts as message_parts
from chat_service.config import ChatConfig
from chat_service.rpc import metadata
from chat_service.rpc.parse import components, conversations, generation, interactions, messages, parts, usage
from chat_service.rpc.parse import searches as search_requests
from chat_service.rpc.transfer import lines as transfer_lines
from chat_service.rpc.transfer import splitting, trees
from chat_service.rpc.transfer import streams as transfers
from chat_service.store import conversation_branches, pages
from chat_service.store import searches as search_store
from shared import access_tokens, batch, cache, cleanup, redis_link, tls, validation
from shared.config import Environment
from shared.db import PoolSettings
from shared.grpc import access, auth_client, channels, feed, server, signatures
from shared.grpc import sessions as known_sessions
from shared.revocations import RELEVANT_SECONDS
from tests.servers import ROOT, Servers, fresh_database, make_master_key
from tools import plans
from tools.indexes import PROMISED
from tools.plans import SERVICES

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DATABASE = (ROOT / "docs" / "database.md").read_text()
ROWS = {row[1]: row[0] for row in re.finditer(r"^\| ([^|]+?) \| .*$", OPERATIONS, re.MULTILINE)}


def config(environment: Environment) -> AuthConfig:
    url = "postgresql://parley_auth:not-guessable@127.0.0.1/parley_auth"
    return AuthConfig.model_validate(
        {
            "APP_ENV": environment,
            "REDIS_URL": "redis://parley:not-guessable@127.0.0.1",
            "database_url": url,
            "master_key": make_master_key(),
            "allow_plaintext": True,
        }
    )


PRODUCTION, DEVELOPMENT = config(Environment.PRODUCTION), config(Environment.DEVELOPMENT)


def number(value: float) -> str:
    return f"{value:,.0f}"


def both(name: str) -> str:
    return " / ".join(f"{number(getattr(it.pool, name))} s" for it in (PRODUCTION, DEVELOPMENT))


def default(kind: type[AuthConfig | ChatConfig], name: str) -> str:
    return number(kind.model_fields[name].default)


def told_pauses() -> str:
    first, second, *minutes, _ = (int(pause.total_seconds()) for pause in sender.PAUSES)
    first_ones = ", ".join(str(it // 60) for it in minutes[:-1])
    return f"after {first} s, {second} s, {first_ones} and {minutes[-1] // 60} min, then each hour"


def minutes(value: timedelta) -> str:
    return f"{value // timedelta(minutes=1)} min"


OF_A_FILE = "conversation of ChatGPT's, tree of OpenAssistant's, line of ours"
STATED = [
    ("message received", f"{server.MAX_MESSAGE_BYTES // 2**20} MiB"),
    ("message sent", f"{4 * server.MAX_MESSAGE_BYTES // 2**20} MiB; pages end at {number(pages.MAX_PAGE_BYTES)} bytes"),
    ("metadata of a call", f"{dict(server._OPTIONS)['grpc.max_metadata_size'] // 1024} KiB"),
    ("calls at once on one connection", str(dict(server._OPTIONS)["grpc.max_concurrent_streams"])),
    ("calls at once in a process", number(server._MAX_CONCURRENT_CALLS)),
    ("age of a connection", f"{dict(server._OPTIONS)['grpc.max_connection_age_ms'] // 60_000} min"),
    ("files of TLS", f"every {number(tls.RELOAD_SECONDS)} s"),
    ("last calls of a connection with former certificates", f"{number(channels._LAST_CALLS_SECONDS / 60)} min"),
    ("calls in flight at the end", f"{default(AuthConfig, 'shutdown_grace_seconds')} s"),
    ("`email`", f"{emails.MAX_LENGTH} characters"),
    ("`password`, new", f"{passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} code points"),
    ("`password`, at log-in", f"{passwords.MAX_LENGTH} code points"),
    ("`display_name`, `device_label`", f"{auth_parse._MAX_DISPLAY_NAME} characters"),
    ("`display_name`, `device_label`", f"{auth_parse.MAX_LABEL} characters"),
    ("`refresh_token`", f"{refresh_tokens.MAX_LENGTH:,} characters"),
    ("tokens in BatchVerifyTokens, ids in BatchGetUsers", f"1 to {auth_parse._MAX_TOKENS}"),
    ("tokens in BatchVerifyTokens, ids in BatchGetUsers", f"1 to {auth_parse._MAX_IDS}"),
    ("rows in a message of ImportUsers", f"1 to {user_imports.MAX_ROWS}"),
    ("`source`, `external_id` of an import", f"{user_imports.MAX_SOURCE}, {user_imports.MAX_EXTERNAL_ID} characters"),
    ("`password_hash` of an import", f"{number(password_hashes.MAX_LENGTH)} characters"),
    ("length of an access token", f"{number(access_tokens.MAX_LENGTH)} characters"),
    ("sign-ups of an address", f"{PRODUCTION.volumes.sign_ups_per_hour} an hour"),
    ("sign-ups of an address", f"/ {number(DEVELOPMENT.volumes.sign_ups_per_hour)}"),
    ("log-ins of an address, right or wrong", f"{PRODUCTION.volumes.log_ins_per_minute} a minute"),
    ("log-ins of an address, right or wrong", f"/ {number(DEVELOPMENT.volumes.log_ins_per_minute)}"),
    (
        "wrong passwords for an account from an address",
        f"{limits._PAIR_FAILURES.amount} in {limits._PAIR_FAILURES.seconds // 60} min",
    ),
    (
        "wrong passwords for an account from anywhere",
        f"{limits._ACCOUNT_FAILURES.amount} in {limits._ACCOUNT_FAILURES.seconds // 3600} h",
    ),
    ("consecutive wrong passwords for an account", str(limits.CONSECUTIVE_FAILURES)),
    ("wrong secrets of an address, by method", f"{PRODUCTION.volumes.failures_per_minute} a minute"),
    ("wrong secrets of an address, by method", f"/ {number(DEVELOPMENT.volumes.failures_per_minute)}"),
    (
        "of them, hashed by another system (imported, before its owner's first log-in)",
        f"up to {password_hashes.MAX_MEMORY_KIB // 1024} MiB",
    ),
    ("waiting or being hashed", f"{passwords._MAX_QUEUE} and {passwords._MAX_QUEUE // 2} imported"),
    (
        "one-time codes for an account from an address",
        f"{limits._PAIR_CODES.amount} in {limits._PAIR_CODES.seconds // 60} min",
    ),
    (
        "one-time codes for an account from anywhere",
        f"{limits._ACCOUNT_CODES.amount} in {limits._ACCOUNT_CODES.seconds // 3600} h, {limits.CONSECUTIVE_FAILURES}",
    ),
    (
        "log-in without its second factor",
        f"{minutes(admissions.CHALLENGE_LIFETIME)}, {admissions.CHALLENGE_ATTEMPTS} answers",
    ),
    ("enrolment of an authenticator app", minutes(totp.ENROLMENT_LIFETIME)),
    ("one-time code", f"{totp_codes.STEP_SECONDS} s, and the {totp_codes.STEP_SECONDS * totp_codes.DRIFT} s before"),
    ("recovery codes", f"{recovery_codes.AMOUNT}, each once"),
    ("proof for a call that needs a fresh one", f"{access.STEP_UP_SECONDS // 60} min"),
    ("`challenge_token`", f"{challenge_tokens.MAX_LENGTH} characters"),
    ("`recovery_code`", f"{recovery_codes.MAX_LENGTH} characters"),
    ("`credential_json`, `passkey_credential_json`", f"{ceremonies.MAX_CREDENTIAL:,} characters"),
    ("`name` of a passkey", f"{auth_parse.MAX_LABEL} characters"),
    ("question to a passkey", minutes(ceremonies.LIFETIME)),
    ("waiting or being hashed", f"{number(passwords._PATIENCE_SECONDS)} s without one"),
    ("refresh token, former generation", f"{number(sessions.REFRESH_GRACE.total_seconds())} s"),
    ("sessions of a user", default(AuthConfig, "sessions_per_user")),
    ("session without refresh", f"{default(AuthConfig, 'refresh_idle_days')} days"),
    ("session", f"{default(AuthConfig, 'session_days')} days"),
    ("services that watch revocations on a replica", number(revocations._MAX_WATCHERS)),
    ("news that wait for a watcher", number(revocations._MAX_WAITING)),
    ("signing key", f"{default(AuthConfig, 'signing_key_days')} days"),
    ("signing key, published before it signs", f"{keys.OVERLAP.total_seconds() / 60:.0f} min; "),
    ("signing key, published before it signs", f"for {keys.JWKS_MAX_AGE.total_seconds():.0f} s"),
    ("signing key, retiring", f"{key_rotation.RETENTION.total_seconds() // 60:.0f} min"),
    ("signing key, removed", f"{auth_cleanup._REMOVED_KEYS_STAY.days} days"),
    ("revocations are kept", f"{RELEVANT_SECONDS / 60:.0f} min in memory"),
    ("revocations are kept", f"{auth_cleanup._REVOCATIONS_STAY.total_seconds() / 3600:.0f} hours in Postgres"),
    ("heartbeat of the watchers", f"every {revocations.BEAT_SECONDS} s"),
    ("mails for an account", f"{limits._MAILS.amount} an hour"),
    ("mails that an address asks for", f"{PRODUCTION.volumes.mails_per_hour} an hour"),
    ("mails that an address asks for", f"/ {number(DEVELOPMENT.volumes.mails_per_hour)}"),
    ("code of a mail", f"{one_time_codes.CODE_LIFETIME.seconds // 60} min, {one_time_codes.GUESSES} guesses"),
    ("link of a mail", f"{mailed_codes._VERIFICATION_LIFETIME.total_seconds() / 3600:.0f} h"),
    ("deleted account", f"{default(AuthConfig, 'deleted_account_days')} days"),
    ("events of accounts and sessions are kept", f"{default(AuthConfig, 'audit_days')} days"),
    ("attempt to send a mail", f"{number(sender.ATTEMPT_SECONDS)} s, {sender.BATCH} at once"),
    ("attempt to send a mail", told_pauses()),
    ("notice in the outbox", f"{mails.NATURES[MailKind.NEW_DEVICE].lifetime.days} days"),
    ("mail that was refused is kept", f"{sender.REFUSED_STAY.days} days"),
    ("`name` of an API key", f"1 to {rpc_api_keys.MAX_NAME} characters"),
    ("API key", f"{api_keys.DEFAULT_LIFETIME.days} days where"),
    ("API key", f"at most {api_keys.MAX_LIFETIME.days} days"),
    ("API key whose place another takes", f"{api_keys.DEFAULT_OVERLAP.total_seconds() / 3600:.0f} h"),
    ("API key whose place another takes", f"at most {api_keys.MAX_OVERLAP.days} days"),
    ("API keys of a user", f"{api_keys.MAX_KEYS}; {api_keys.MAX_ROTATING} while"),
    ("service account: `display_name`", f"1 to {service_accounts.MAX_NAME} characters"),
    ("service account: `audiences`", f"1 to {rpc_service_accounts.MAX_AUDIENCES}, each 1 to {scopes.MAX_AUDIENCE} of"),
    ("client secret", f"{service_accounts.LIFETIME.days} days"),
    ("client secrets of a service account", f"{service_accounts.MAX_SECRETS}"),
    ("API key that chat has checked by itself", f"{known_sessions._ASK_AGAIN_SECONDS:.0f} s"),
    ("last use of an API key or a client secret", f"{last_uses.WRITE_SECONDS:.0f} s"),
    ("`title`", f"{conversations._MAX_TITLE} characters"),
    ("`metadata` of a conversation", f"{number(metadata.MAX_BYTES)} bytes"),
    ("parts of a message", f"1 to {parts.MAX_PARTS}"),
    ("text of a part, a tool call's `arguments`, a tool result's `content`", f"{number(parts.MAX_TEXT)} characters"),
    ("a part's `uri`", f"{number(parts.MAX_URI)} characters"),
    ("a part's `name`, `id`, `tool_call_id`", f"{parts.MAX_NAME} characters; a file's `name` {parts.MAX_FILE_NAME}"),
    ("JSON part", f"{number(parts.MAX_JSON_BYTES)} bytes, nested {parts.MAX_JSON_DEPTH} deep"),
    ("all parts of a message", f"{number(parts.MAX_BYTES)} bytes of UTF-8, and {message_parts.VALUE_BYTES} for each"),
    ("`comment` of a feedback", f"{number(messages.MAX_COMMENT)} characters"),
    ("branches of a conversation", number(conversation_branches.MAX_BRANCHES)),
    ("messages in BatchSendMessages", f"1 to {messages._MAX_MESSAGES}"),
    ("component: `name`, `type`", f"{components._MAX_NAME}, {components._MAX_TYPE} characters"),
    ("segments of a diff", f"{number(diffs.MAX_SEGMENTS)}, and {number(diffs.MAX_RESPONSE_BYTES)} bytes"),
    ("diffs that wait in a process, which makes one at a time", number(diffs._MAX_WAITING)),
    ("component: `content`", f"{number(components._MAX_CONTENT_BYTES)} bytes"),
    ("interaction: `model`, `finish_reason`, `price_version`", f"{interactions._MAX_MODEL}, "),
    ("interaction: `error.code`, `error.message`", f"{number(interactions._MAX_ERROR_MESSAGE)} characters"),
    ("answer: `model`, tools, `stop`", f"{generation.MAX_MODEL} characters, {generation.MAX_TOOLS} tools"),
    ("answer: `model`, tools, `stop`", f"{generation.MAX_STOPS} texts of {generation.MAX_STOP} characters"),
    ("`model_defaults` of a conversation: instructions, all of it", f"{number(generation.MAX_SYSTEM_PROMPT)} "),
    ("answer: a schema, the description of a tool", f"{number(generation.MAX_SCHEMA_BYTES)} bytes"),
    ("answer: a schema, the description of a tool", f"{number(generation.MAX_TOOL_DESCRIPTION)} characters"),
    ("answer: `max_output_tokens`, text", f"1 to {number(generation.MAX_OUTPUT_TOKENS)}, "),
    ("answer: `max_output_tokens`, text", f"{number(attempts.MAX_ANSWER_BYTES)} bytes"),
    ("answers and tokens of a user", f"{default(ChatConfig, 'quota_hours')} hours"),
    ("days of GetUsage", f"{usage.USUAL_DAYS}, at most {usage.MOST_DAYS}"),
    ("components made of one answer", str(blocks.MAX_BLOCKS)),
    ("answers that wait in a conversation", str(chat_generation.MAX_QUEUED)),
    ("answers at once in a process", default(ChatConfig, "answers_at_once")),
    ("answer: its beginning", f"{default(ChatConfig, 'first_token_seconds')} s"),
    ("answer: its beginning", f"{attempts.ROUNDS} rounds"),
    ("answer: silence in it", f"{default(ChatConfig, 'silence_seconds')} s"),
    ("answer: all of it", f"{default(ChatConfig, 'answer_seconds')} s"),
    ("worker of an answer without news", f"{runs.LEASE.seconds} s; looked for every {number(runs.TICK_SECONDS)} s"),
    ("`query` of a search", f"{search_requests.MAX_QUERY} characters, {questions.MAX_TERMS} words"),
    ("hits that are ranked together", f"the newest {searches.BLOCK}, then the {searches.BLOCK} before"),
    ("rows that a page of a search looks at", f"about {number(searches._MOST_ROWS // 1_000 * 1_000)}"),
    ("titles that a search ranks", number(search_store.MAX_TITLES)),
    ("`request_id`", f"{validation.MAX_REQUEST_ID} characters"),
    ("streams of a user on a replica", default(ChatConfig, "streams_per_user")),
    ("streams of a replica", number(streams.MAX_STREAMS)),
    ("change whose hint was lost", f"within {streams.POLL_SECONDS:.0f} s"),
    ("caller of a stream", f"every {access.LOOK_SECONDS:.0f} s; served for {access.DOUBT_SECONDS:.0f} s"),
    ("SetTyping of a session on a replica", f"{presence.MOST} in {presence.WINDOW_SECONDS} s"),
    ("repeated by WatchConversations after a cursor", minutes(user_watches.OVERLAP)),
    ("read ahead of a slow client", f"{conversation_watches._READ_AHEAD_BYTES // 1024} KiB"),
    ("deleted conversation", f"{default(ChatConfig, 'deleted_conversation_days')} days"),
    ("conversation that nobody touches", f"{number(retention.MAX_BATCHES * cleanup.BATCH_ROWS)} are looked at"),
    ("user whom auth has erased", f"within {number(erasures.PAUSE_SECONDS)} s"),
    ("user whom auth has erased", f"after {erasures.TOKENS_LIVE // timedelta(hours=1)} hours"),
    ("piece of a file, sent or received", f"{number(transfers.MAX_PIECE)} bytes"),
    (OF_A_FILE, f"{splitting.MAX_BYTES // 2**20} MiB; {number(splitting.MAX_OBJECTS)} objects"),
    (OF_A_FILE, f"{number(splitting.MAX_ITEMS)} values; nested {splitting.MAX_NESTING} deep"),
    (OF_A_FILE, f"{number(trees.MAX_NODES)} messages"),
    ("what is in an imported conversation", f"{number(trees.MAX_BRANCHES)} branches"),
    ("what is in an imported conversation", f"{number(transfer_lines.MAX_MESSAGES)} messages"),
    ("what is in an imported conversation", f"{number(transfer_lines.MAX_COMPONENTS)} components"),
    ("imports and exports of a user on a replica", f"{imports.STREAMS} and {exports.STREAMS}"),
    ("import that nobody goes on with", f"{imports.ABANDONED_AFTER // timedelta(hours=1)} hour"),
    ("question to auth about a token", f"{number(auth_client.ASK_SECONDS)} s"),
    ("silence of auth", f"{feed.SILENCE_SECONDS:.0f} s after"),
    ("copy of auth's public keys", f"at most once in {signatures._PAUSE_SECONDS:.0f} s"),
    ("leeway of times in a token", f"{access_tokens.LEEWAY_SECONDS} s"),
    ("connections", f"{PRODUCTION.pool.max_size} / {DEVELOPMENT.pool.max_size}, and 2"),
    ("wait for a connection", both("acquire_timeout")),
    ("statement", both("statement_timeout")),
    ("wait for a lock", both("lock_timeout")),
    ("transaction that does nothing", both("statement_timeout")),
    ("unused connection", both("idle_timeout")),
    ("unused connection", f"{PRODUCTION.pool.min_size} / {DEVELOPMENT.pool.min_size}"),
    ("items waiting for one kind of batch", number(batch._MAX_WAITING)),
    ("wait for a batch", f"{number(batch._PATIENCE_SECONDS)} s without one"),
    ("exchange", f"{redis_link.EXCHANGE_SECONDS * 1000:.0f} ms"),
    ("entry of the cache", f"{cache._TTL_MILLISECONDS // 60_000} min"),
    ("clean-up", f"{cleanup.BATCH_ROWS} rows a transaction, {cleanup._MAX_BATCHES} of them"),
]


@pytest.mark.parametrize(("limit", "value"), STATED)
def test_a_limit_stands_in_the_table_as_it_is_in_the_code(limit: str, value: str) -> None:
    assert value in ROWS[limit]


def test_nearly_every_row_of_the_table_is_compared() -> None:
    table = OPERATIONS.partition("## Limits")[2].partition("\n## ")[0]
    rows = {row for row in re.findall(r"^\| ([^|*]+?) \| [^|]+ \|", table, re.MULTILINE) if row not in ("limit", "---")}
    uncompared = {
        "`user-agent` of a session",
        "text of a message that is searched",
        "`x-request-id`",
        "Postgres out of reach",
        "passkeys of a user",
        "deadline of a call",
        "deletion that cannot be made",
        "ended sessions are kept",
        "hashed at once",
        "interaction: durations",
        "page",
        "pings of a client",
        "token of a service account, or of who acts for a user",
        "deleted service account",
        "silent connection",
        "access token",
        "wait",
        "wrong password",
    }
    assert rows - {limit for limit, _ in STATED} == uncompared


def test_every_pool_limit_is_explained_for_both_environments() -> None:
    table = DATABASE.partition("## Pools")[2].partition("\n## ")[0]
    cells = dict(re.findall(r"^\| ([^|]+) \| ([^|]+ \| [^|]+) \|", table, re.MULTILINE))
    p, d = PRODUCTION.pool, DEVELOPMENT.pool
    assert isinstance(p, PoolSettings)
    assert cells["connections at most"] == f"{p.max_size} | {d.max_size}"
    assert cells["connections at least"] == f"{p.min_size} | {d.min_size}"
    assert cells["wait for a connection"] == f"{p.acquire_timeout:.0f} s | {d.acquire_timeout:.0f} s"
    assert cells["statement"] == f"{p.statement_timeout:.0f} s | {d.statement_timeout:.0f} s"
    assert cells["wait for a lock"] == f"{p.lock_timeout:.0f} s | {d.lock_timeout:.0f} s"
    assert cells["unused connection"] == f"closed after {p.idle_timeout:.0f} s | {d.idle_timeout:.0f} s"


@pytest.mark.parametrize("service", SERVICES)
async def test_the_nineteen_are_listed_with_their_columns(servers: Servers, service: str) -> None:
    listed = {
        name: columns.replace("`", "").removeprefix("unique ").partition(", not ")[0]
        for name, columns in re.findall(r"^\| `(idx_\w+)` \| ([^|]+) \|", DATABASE, re.MULTILINE)
    }
    assert listed.keys() == {index.name for index in PROMISED}
    async with fresh_database(servers, service) as database:
        connection: asyncpg.Connection = await asyncpg.connect(database.owner_url)
        rows = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'idx%'")
        await connection.close()
    found = {row["indexname"]: columns_of(row["indexdef"]) for row in rows}
    assert len(found) >= 6
    assert {name: listed[name] for name in found} == found


def columns_of(definition: str) -> str:
    """What stands in the parentheses of CREATE INDEX, in the spelling of the migrations."""
    (columns,) = re.findall(r" USING btree \((.+?)\)(?: WHERE .+)?$", definition)
    return columns.replace('"', "").replace("LEAST", "least")


def test_queries_that_the_documents_name_exist() -> None:
    known = {query.name for service in SERVICES for query in plans.queries(service)}
    tables = {name.partition(".")[0] for name in known}
    named = {f"{table}.{query}" for table, query in re.findall(r"`(\w+)\.(\w+)`", DATABASE) if table in tables}
    assert len(named) > 15
    assert named - known == set()


def test_the_costs_that_a_hash_may_have_are_those_of_the_code() -> None:
    table = OPERATIONS.partition("A hash may cost so much")[2].partition("\n\nWhat costs more")[0]
    rows = {row[1]: row[0] for row in re.finditer(r"^\| (\w+) \| .*$", table, re.MULTILINE)}
    rounds, blocks = password_hashes.PBKDF2_ROUNDS, password_hashes.SCRYPT_BLOCKS
    mib = password_hashes.MAX_MEMORY_KIB // 1024
    passes, costs, lanes = password_hashes.ARGON2_KIB_PASSES, password_hashes.BCRYPT_COSTS, password_hashes.MAX_LANES
    argon2 = (
        f"m · t of {passes.start // 2**10} MiB | m of {mib} MiB, m · t of {passes[-1] // 2**20} GiB, p of {lanes} |"
    )
    scrypt = f"N · r · p of {number(blocks[-1])}, r of {password_hashes.MAX_BLOCK}, p of {lanes} |"
    assert argon2 in rows["Argon2"]
    assert f"| cost {costs.start} | cost {costs[-1]} |" in rows["bcrypt"]
    assert f"| N · r · p of {number(blocks.start)} | 128 · N · r of {mib} MiB, {scrypt}" in rows["scrypt"]
    assert rounds["sha1"] == rounds["sha256"]
    sha256, sha512 = rounds["sha256"], rounds["sha512"]
    most = f"{number(sha256[-1])} iterations, with SHA-512 {number(sha512[-1])}"
    assert f"| {number(sha256.start)} iterations | {most}" in rows["PBKDF2"]


def test_the_forms_of_hashes_that_are_listed_are_read() -> None:
    forms = OPERATIONS.partition("These forms are read")[2].partition("Others are brought")[0]
    written = [form for form in re.findall(r"`([^`]+)`", forms) if "salt" in form]
    assert len(written) > 8
    for form in written:
        digest = "a" * (64 if ":" in form else 43)
        text = form.replace("$separator$key", "$Bw==$" + "b" * 43).replace("digest", digest)
        password_hashes.parse(text.replace("$salt", "$c29tZXNhbHQ"))
