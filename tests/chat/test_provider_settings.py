"""Who is asked for answers, as an operator says it; a wrong setting stops the start with a sentence."""

import json

import pytest
from pydantic import ValidationError

from tests.chattest import chat_config
from tests.servers import TestDatabase

DATABASE = TestDatabase(
    url="postgresql://parley_chat:not-guessable@127.0.0.1/parley_chat", owner_url="postgresql://unused"
)
ONE = {"provider_url": "http://127.0.0.1:9/v1", "provider_model": "small", "provider_api_key": "secret-key"}
LISTED = {"name": "second", "url": "https://example.com/v1", "api_key": "other-key", "models": ["small", "large"]}


def config(**settings):
    return chat_config(DATABASE, "redis://parley:not-guessable@127.0.0.1", "127.0.0.1:1", **settings)


def test_without_a_setting_nobody_is_asked():
    assert config().asked == ()


def test_the_one_by_itself_comes_before_the_list():
    asked = config(**ONE, providers=json.dumps([LISTED])).asked
    assert [(one.name, one.url, one.models) for one in asked] == [
        ("default", ONE["provider_url"], ("small",)),
        ("second", LISTED["url"], ("small", "large")),
    ]
    assert "secret-key" not in repr(asked)
    assert "other-key" not in repr(asked)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"provider_url": ONE["provider_url"]}, "CHAT_PROVIDER_URL needs CHAT_PROVIDER_MODEL"),
        ({"provider_model": "small"}, "CHAT_PROVIDER_MODEL needs CHAT_PROVIDER_URL"),
        ({"provider_url": "ftp://x", "provider_model": "small"}, "provider_url"),
        ({"providers": "{"}, "must be a JSON list of providers"),
        ({"providers": json.dumps([LISTED | {"models": []}])}, "0.models"),
        ({"providers": json.dumps([LISTED | {"surprise": 1}])}, "0.surprise"),
        ({"providers": json.dumps([LISTED | {"url": "example.com"}])}, "0.url"),
        ({"providers": json.dumps([LISTED | {"output_limit": "tokens"}])}, "0.output_limit"),
    ],
)
def test_a_wrong_setting_is_told_without_its_secrets(settings, told):
    with pytest.raises(ValidationError, match=told) as refused:
        config(**settings)
    assert "other-key" not in str(refused.value)


def test_production_sends_no_key_in_plaintext_to_another_machine():
    production = {
        "APP_ENV": "production",
        "allow_plaintext": False,
        "auth_ca_file": "/ca",
        "tls_certificate_file": "/c",
    }
    production |= {"tls_key_file": "/k", "auth_certificate_file": "/c", "auth_key_file": "/k"}
    assert config(**production, **ONE).production
    remote = ONE | {"provider_url": "http://model.example.com/v1"}
    with pytest.raises(ValidationError, match="plaintext"):
        config(**production, **remote)
    assert config(**production | {"allow_plaintext": True}, **remote).asked
