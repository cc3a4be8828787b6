#!/bin/sh
# Starts Redis with a user for auth and one for chat, each of which may do what its service does and no more. The file
# of users knows only the digests of their passwords. Auth:
#   mget, set, del, incrby, expire, pttl  look-ups, leases, deletions and the counts of rate limits
#   eval, with get, set and del   the fill of shared/cache.py, the one script
#   info, ping, client setinfo    shared/redis_link.py: which server this is, and whether it answers
# Chat reads users and sessions, and cannot write them: what stands there is auth's word.
#   publish, subscribe, unsubscribe   chat_service/live.py: what its replicas tell each other, on channels of their own
set -eu

digest() { printf '%s' "$(cat "/run/secrets/$1")" | sha256sum | cut -d ' ' -f 1; }

umask 077
sed -e "s/@PASSWORD_DIGEST@/$(digest redis_password)/" \
    -e "s/@CHAT_PASSWORD_DIGEST@/$(digest redis_chat_password)/" /etc/parley/users.acl > /tmp/users.acl
exec redis-server /etc/parley/redis.conf
