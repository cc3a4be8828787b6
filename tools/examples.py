"""Ready-made calls for a running stack, to copy into a shell."""

import shlex
import sys
from pathlib import Path

from tools.certificates import CA, CERTIFICATE, KEY
from tools.folder import Stack

_FLAGS = {"cacert": CA, "cert": CERTIFICATE, "key": KEY}
_BEARER = '-H "authorization: Bearer $TOKEN"'


def text(stack: Stack) -> str:
    """The main job as calls in their order; each line can be pasted as it stands."""
    scheme = "http" if stack.tls_dir is None else "https"
    auth, chat = f"{scheme}://{stack.auth_target}", f"{scheme}://{stack.chat_target}"
    log_in = '{"email": "ada@example.com", "password": "a walk in the long rain"}'
    sign_up = log_in.replace("}", ', "display_name": "Ada"}')
    send = r'"{\"conversation_id\": \"$CONVERSATION\", \"role\": \"ROLE_USER\", \"parts\": [{\"text\": \"Hello\"}]}"'
    in_conversation = r'"{\"conversation_id\": \"$CONVERSATION\"}"'
    buf = f"{_tool('buf')} curl {_buf_security(stack)} --protocol grpc"
    title = """'{"conversation": {"title": "Plans"}}'"""
    create = f"{buf} {_BEARER} -d {title} {chat}/chat.v1.ConversationService/CreateConversation"
    lines = (
        "# Sign up once, log in, and keep the tokens in the shell",
        f"{buf} -d '{sign_up}' {auth}/auth.v1.AuthService/SignUp",
        f"LOGIN=$({buf} -d '{log_in}' {auth}/auth.v1.AuthService/LogIn)",
        f"TOKEN=$({_pick('LOGIN', 'tokens', 'accessToken')}); REFRESH=$({_pick('LOGIN', 'tokens', 'refreshToken')})",
        rf'{buf} -d "{{\"access_token\": \"$TOKEN\"}}" {auth}/auth.v1.AuthService/VerifyToken',
        "# A conversation",
        f"MADE=$({create})",
        f"CONVERSATION=$({_pick('MADE', 'conversation', 'id')})",
        f"{buf} {_BEARER} -d {send} {chat}/chat.v1.MessageService/SendMessage",
        f"{buf} {_BEARER} -d {in_conversation} {chat}/chat.v1.MessageService/ListMessages",
        "# New tokens, then the end of the session: the same token is refused at once",
        rf'{buf} -d "{{\"refresh_token\": \"$REFRESH\"}}" {auth}/auth.v1.AuthService/RefreshToken',
        f"{buf} {_BEARER} -d '{{}}' {auth}/auth.v1.AuthService/LogOut",
        rf'{buf} -d "{{\"access_token\": \"$TOKEN\"}}" {auth}/auth.v1.AuthService/VerifyToken',
        "# The same by name, and with grpcurl",
        f"make call M=LogIn D='{log_in}'",
        f"grpcurl {_grpcurl_security(stack)} -d '{log_in}' {stack.auth_target} auth.v1.AuthService/LogIn",
        f"# Metrics: {stack.auth_ops_url}/metrics {stack.chat_ops_url}/metrics",
    )
    return "\n".join(lines) + "\n"


def _buf_security(stack: Stack) -> str:
    if stack.tls_dir is None:
        return "--http2-prior-knowledge"
    return " ".join(f"--{flag} {file}" for flag, file in _files(stack.tls_dir))


def _grpcurl_security(stack: Stack) -> str:
    if stack.tls_dir is None:
        return "-plaintext"
    return " ".join(f"-{flag} {file}" for flag, file in _files(stack.tls_dir))


def _files(tls_dir: str) -> list[tuple[str, str]]:
    """What a caller believes and shows, by the flag that both programs have for it."""
    return [(flag, shlex.quote(f"{tls_dir}/client/{name}")) for flag, name in _FLAGS.items()]


def _pick(variable: str, *names: str) -> str:
    path = "".join(f"['{name}']" for name in names)
    return f'echo "${variable}" | {_tool("python")} -c "import json, sys; print(json.load(sys.stdin){path})"'


def _tool(name: str) -> str:
    """A program of this environment, by the shorter path where we stand above it."""
    program = Path(sys.executable).parent / name
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
