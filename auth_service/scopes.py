"""What machines can be allowed: scopes, by their names in the protos (`options.v1.scope`), roles and audiences."""

import re
from typing import Final

# What a user may let an API key do, and a service account may do for itself or for a user.
USER_SCOPES: Final = ("account.read", "account.write", "chat.read", "chat.write")
# What service accounts alone can be allowed.
ACT_FOR_USERS: Final = "users.act"
SERVICE_SCOPES: Final = ("tokens.verify", ACT_FOR_USERS, "users.read")
EVERY_SCOPE: Final = (*USER_SCOPES, *SERVICE_SCOPES)

SERVICE_ROLES: Final = ("admin", "service")

MAX_AUDIENCE: Final = 64
# The name of a service, as in the `aud` claim.
AUDIENCE: Final = re.compile(rf"[a-z0-9._-]{{1,{MAX_AUDIENCE}}}")
