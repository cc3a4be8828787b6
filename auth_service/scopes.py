"""What machines can be allowed, by the names that the protos give it (`options.v1.scope`)."""

from typing import Final

# What a user may let an API key do, and a service account may do for itself or for a user.
USER_SCOPES: Final = ("account.read", "account.write", "chat.read", "chat.write")
# What service accounts alone can be allowed.
SERVICE_SCOPES: Final = ("tokens.verify", "users.read")
