"""Ready-made calls for a running stack, to copy into a shell."""

import shlex
import sys
from pathlib import Path

from tools.certificates import CA, CERTIFICATE, KEY
from tools.folder import Stack
from tools.settings import Listener

_FLAGS = {"cacert": CA, "cert": CERTIFICATE, "key": KEY}
_BEARER = '-H "authorization: Bearer $TOKEN"'
_LOG_IN = '{"email": "ada@example.com", "password": "a walk in the long rain"}'
_SIGN_UP = _LOG_IN.replace("}", ', "display_name": "Ada"}')
_SEND = r'"{\"conversation_id\": \"$CONVERSATION\", \"role\": \"ROLE_USER\", \"parts\": [{\"text\": \"Hello\"}]}"'
_ASK = (
    r'"{\"conversation_id\": \"$CONVERSATION\", \"parts\": [{\"text\": \"What is photosynthesis?\"}],'
    r' \"parameters\": {\"max_output_tokens\": 80}}"'
)
_TITLE = """'{"conversation": {"title": "Plans"}}'"""


def text(stack: Stack) -> str:
    """The main job as calls in their order; each line can be pasted as it stands."""
    scheme = "http" if stack.tls_dir is None else "https"
    auth, chat = f"{scheme}://{stack.auth_target}", f"{scheme}://{stack.chat_target}"
    in_conversation = r'"{\"conversation_id\": \"$CONVERSATION\"}"'
    buf = f"{_tool('buf')} curl {_buf_security(stack)} --protocol grpc"
    create = f"{buf} {_BEARER} -d {_TITLE} {chat}/chat.v1.ConversationService/CreateConversation"
    lines = (
        "# Sign up once, log in, and keep the tokens in the shell",
        f"{buf} -d '{_SIGN_UP}' {auth}/auth.v1.AuthService/SignUp",
        f"LOGIN=$({buf} -d '{_LOG_IN}' {auth}/auth.v1.AuthService/LogIn)",
        f"TOKEN=$({_pick('LOGIN', 'tokens', 'accessToken')}); REFRESH=$({_pick('LOGIN', 'tokens', 'refreshToken')})",
        rf'{buf} -d "{{\"access_token\": \"$TOKEN\"}}" {auth}/auth.v1.AuthService/VerifyToken',
        "# A conversation",
        f"MADE=$({create})",
        f"CONVERSATION=$({_pick('MADE', 'conversation', 'id')})",
        f"{buf} {_BEARER} -d {_SEND} {chat}/chat.v1.MessageService/SendMessage",
        f"{buf} {_BEARER} -d {in_conversation} {chat}/chat.v1.MessageService/ListMessages",
        *_answer(f"{buf} {_BEARER}", f"{chat}/chat.v1", stack.model),
        "# New tokens, then the end of the session: the same token is refused at once",
        rf'{buf} -d "{{\"refresh_token\": \"$REFRESH\"}}" {auth}/auth.v1.AuthService/RefreshToken',
        f"{buf} {_BEARER} -d '{{}}' {auth}/auth.v1.AuthService/LogOut",
        rf'{buf} -d "{{\"access_token\": \"$TOKEN\"}}" {auth}/auth.v1.AuthService/VerifyToken',
        "# The same by name, and with grpcurl",
        f"make call M=LogIn D='{_LOG_IN}'",
        f"grpcurl {_grpcurl_security(stack)} -d '{_LOG_IN}' {stack.auth_target} auth.v1.AuthService/LogIn",
        f"# Metrics: {stack.auth_ops_url}/metrics {stack.chat_ops_url}/metrics",
    )
    return "\n".join(lines) + "\n"


def _answer(call: str, chat: str, model: str) -> tuple[str, ...]:
    """A call that has the model answer, where there is one."""
    if not model:
        return ()
    return (f"# An answer of {model}, as it writes", f"{call} -d {_ASK} {chat}.InteractionService/Generate")


def through_gateway(listener: Listener) -> str:
    """The main job through the gateway: as JSON with nothing but curl, then as gRPC and gRPC-Web."""
    base = f"http://{listener.target}"
    auth, account, chat = f"{base}/auth.v1.AuthService", f"{base}/auth.v1.AccountService", f"{base}/chat.v1"
    curl = f"curl -sS {_BEARER}"
    buf = f"{_tool('buf')} curl --schema . --http2-prior-knowledge {_BEARER} -d '{{}}'"
    grpcurl = "grpcurl -plaintext -import-path . -proto protos/auth/v1/auth_service.proto"
    lines = (
        "# JSON over HTTP: sign up once, log in, and keep the token in the shell",
        f"curl -sS -d '{_SIGN_UP}' {auth}/SignUp",
        f"LOGIN=$(curl -sS -d '{_LOG_IN}' {auth}/LogIn)",
        f"TOKEN=$({_pick('LOGIN', 'tokens', 'accessToken')})",
        f"{curl} -d '{{}}' {account}/GetProfile",
        "# A conversation",
        f"MADE=$({curl} -d {_TITLE} {chat}.ConversationService/CreateConversation)",
        f"CONVERSATION=$({_pick('MADE', 'conversation', 'id')})",
        f"{curl} -d {_SEND} {chat}.MessageService/SendMessage",
        "# As gRPC and as gRPC-Web",
        f"{buf} --protocol grpc {chat}.ConversationService/ListConversations",
        f"{buf} --protocol grpcweb {chat}.ConversationService/ListConversations",
        "# The end of the session: the same token is refused at once",
        f"{curl} -d '{{}}' {auth}/LogOut",
        f"{curl} -i -d '{{}}' {account}/GetProfile",
        "# With grpcurl",
        f"{grpcurl} -d '{_LOG_IN}' {listener.target} auth.v1.AuthService/LogIn",
        f"# Envoy's metrics: http://127.0.0.1:{listener.ops_port}/stats/prometheus",
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
