"""How providers differ, beside what a conversation with one shows."""

import pytest

from chat_service.providers import ProviderSettings


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://not-openai.com/v1", "max_tokens"),
        ("https://openai.com.example/v1", "max_tokens"),
        ("http://127.0.0.1:8080/v1", "max_tokens"),
    ],
)
def test_the_limit_of_tokens_has_the_name_that_the_provider_knows(url: str, name: str) -> None:
    assert ProviderSettings(url=url, models=("one",)).limit_name == name


def test_an_operator_can_say_the_limits_name() -> None:
    settings = ProviderSettings(url="http://127.0.0.1:8080/v1", models=("one",), output_limit="max_completion_tokens")
    assert settings.limit_name == "max_completion_tokens"
