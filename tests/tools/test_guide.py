"""What `demo` shows of a call."""

from protos.auth.v1 import auth_service_pb2
from protos.chat.v1 import message_service_pb2
from protos.chat.v1.resources_pb2 import ROLE_USER, Part
from tools.guide import short


def test_a_request_is_json_on_one_line_with_ids_by_their_ends():
    request = message_service_pb2.SendMessageRequest(
        conversation_id="01a2076e-2ca3-712d-82cb-9a7a721e3a2a", role=ROLE_USER, parts=[Part(text="One\nTwo")]
    )
    assert short(request) == '{"conversation_id": "…1e3a2a", "role": "ROLE_USER", "parts": [{"text": "One\\nTwo"}]}'


def test_secrets_are_not_shown():
    request = auth_service_pb2.LogInRequest(email="ada@example.com", password="a walk in the long rain")
    assert short(request) == '{"email": "ada@example.com", "password": "…"}'
    assert "ey" not in short(auth_service_pb2.VerifyTokenRequest(access_token="eyJhbGciOi"))


def test_long_texts_are_cut():
    request = message_service_pb2.SendMessageRequest(parts=[Part(text="word " * 1_000)])
    assert len(short(request)) < 100
