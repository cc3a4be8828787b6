#!/bin/sh
# Starts Redis with one user that may do what Parley does. The file of users knows only the digest of its password.
#   mget, set, del, incrby, expire, pttl  look-ups, leases, deletions and the counts of rate limits
#   eval, with get, set and del   the fill of shared/cache.py, the one script
#   info, ping, client setinfo    shared/redis_link.py: which server this is, and whether it answers
set -eu

digest=$(printf '%s' "$(cat /run/secrets/redis_password)" | sha256sum | cut -d ' ' -f 1)
umask 077
sed "s/@PASSWORD_DIGEST@/$digest/" /etc/parley/users.acl > /tmp/users.acl
exec redis-server /etc/parley/redis.conf
