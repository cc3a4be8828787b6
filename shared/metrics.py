"""Every measure that Parley exports, by its Prometheus name. Seconds and bytes throughout."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

rpc_seconds = Histogram("parley_rpc_seconds", "Duration of a call.", ["method", "code"], buckets=_FAST)
rpc_in_flight = Gauge("parley_rpc_in_flight", "Calls being served.", ["method"])
query_seconds = Histogram("parley_query_seconds", "Duration of a named query.", ["query"], buckets=_FAST)
query_errors = Counter("parley_query_errors", "Queries that failed, by SQLSTATE or client error.", ["query", "error"])
slow_queries = Counter("parley_slow_queries", "Queries over the slow-query threshold.", ["query"])
pool_connections = Gauge("parley_pool_connections", "Connections of a pool by state.", ["pool", "state"])
pool_wait_seconds = Histogram("parley_pool_wait_seconds", "Wait for a free connection.", ["pool"], buckets=_FAST)
cache_lookups = Counter("parley_cache_lookups", "Look-ups of the shared cache.", ["kind", "result"])
cache_fills = Counter("parley_cache_fills", "Fills of the shared cache.", ["kind", "result"])
cache_invalidations = Counter("parley_cache_invalidations", "Invalidations by the way they were made.", ["way"])
cache_trusted = Gauge("parley_cache_trusted", "1 while this process serves from the shared cache.")
redis_errors = Counter("parley_redis_errors", "Exchanges with Redis that failed.", ["error"])
redis_batch = Histogram("parley_redis_batch", "Commands in one exchange with Redis.", buckets=_SIZES)
streams = Gauge("parley_streams", "Streams that last and are open.")
live_messages = Counter("parley_live_messages", "Messages between replicas over Redis, by direction.", ["direction"])
batch_size = Histogram("parley_batch_size", "Items in one batch.", ["batch"], buckets=_SIZES)
hash_seconds = Histogram("parley_hash_seconds", "Time to hash one password.", buckets=_FAST)
hash_queue = Gauge("parley_hash_queue", "Passwords waiting for, or in, a hashing thread.")
hash_shed = Counter("parley_hash_shed", "Passwords not hashed because the queue was full or too slow.")
rate_limited = Counter("parley_rate_limited", "Calls refused by a rate limit.", ["limit"])
token_sources = Counter(
    "parley_token_sources", "Access tokens found good, by what their session was known from.", ["source"]
)
key_set_fetches = Counter("parley_key_set_fetches", "Fetches of auth's public keys, by result.", ["result"])
feed_age = Gauge("parley_feed_age_seconds", "Age of what this process knows of revocations.")
feed_lag = Histogram(
    "parley_feed_lag_seconds", "How long ago a heartbeat's knowledge was at most when it came.", buckets=_FAST
)
feed_interruptions = Counter("parley_feed_interruptions", "Streams of revocations that ended.")
revocation_watchers = Gauge("parley_revocation_watchers", "Services that watch revocations here.")
revocations_kept = Gauge("parley_revocations_kept", "Revocations in memory that a living access token may have missed.")
tokens_verified = Counter("parley_tokens_verified", "Access tokens checked, by result.", ["result"])
sealed_otherwise = Gauge(
    "parley_sealed_otherwise", "Rows that the present master key has still to seal, or cannot open.", ["table"]
)
signing_keys = Gauge("parley_signing_keys", "Keys that access tokens are accepted of, by state.", ["state"])
cleanup_rows = Counter("parley_cleanup_rows", "Rows removed in the background.", ["task"])
cleanup_backlog = Gauge(
    "parley_cleanup_backlog", "1 while a clean-up task has more to remove than one pass did.", ["task"]
)
erasure_oldest_seconds = Gauge(
    "parley_erasure_oldest_seconds", "How long ago a user was erased of whom something may be left here."
)
background_failures = Counter(
    "parley_background_failures", "Background work that failed and will be tried again.", ["task"]
)
tls_files_usable = Gauge(
    "parley_tls_files_usable",
    "1 while the TLS files are in use; 0 where they cannot be and the former ones are.",
    ["side"],
)
tls_expire_time = Gauge(
    "parley_tls_expire_time_seconds", "When a certificate in use expires, in Unix time.", ["setting"]
)
mails = Counter("parley_mails", "Mails by what became of an attempt to send them.", ["kind", "outcome"])
mails_waiting = Gauge("parley_mails_waiting", "Mails in the outbox that are to be sent.")
mail_oldest_seconds = Gauge("parley_mail_oldest_seconds", "Age of the oldest mail that is to be sent.")
runs_active = Gauge("parley_runs_active", "Answers that this process is writing.")
runs_ended = Counter("parley_runs_ended", "Runs that ended, by their final state.", ["state"])
runs_lost = Counter("parley_runs_lost", "Runs that a worker lost to another, and committed nothing of.")
gen_ai_duration = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Duration of a request to a model, as OpenTelemetry names it.",
    ["gen_ai_provider_name", "gen_ai_request_model", "error_type"],
    buckets=_SLOW,
)
gen_ai_first_token = Histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "From the request to the first piece of the answer, likewise.",
    ["gen_ai_provider_name", "gen_ai_request_model"],
    buckets=_SLOW,
)
gen_ai_tokens = Counter(
    "gen_ai_client_token_usage",
    "Tokens used, likewise; `input` or `output`.",
    ["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"],
)
dependency_up = Gauge("parley_dependency_up", "1 while a dependency answers.", ["dependency"])
