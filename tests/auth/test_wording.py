"""The words of mails: every language tells the same, and what fills them is never code."""

import re

import pytest

from auth_service.mail import wording
from auth_service.mail.mails import MailKind
from auth_service.mail.wording import LANGUAGES, choose_language, harmless, word

NAMES = re.compile(r"\{\{ (\w+) \}\}")
FACTS = {
    "app": "Parley",
    "name": "Ada",
    "device": "a phone",
    "address": "192.0.2.1",
    "happen_time": "2026-11-23 09:22 UTC",
    "link": "https://app.example/verify?token=t",
    "code": "K7QF-2M9X",
}


def phrases(language: str, kind: MailKind) -> list[str]:
    found = LANGUAGES[language].phrases[kind]
    return [found.subject, *found.before, found.action, *found.after]


@pytest.mark.parametrize("kind", MailKind)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mail_tells_the_same_facts_in_every_language(language: str, kind: MailKind) -> None:
    told = [set(NAMES.findall(" ".join(phrases(name, kind)))) for name in (language, "en")]
    assert told[0] == told[1]
    assert bool(LANGUAGES[language].phrases[kind].action) == bool(LANGUAGES["en"].phrases[kind].action)


@pytest.mark.parametrize("kind", MailKind)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mail_can_be_written_with_and_without_what_may_be_missing(language: str, kind: MailKind) -> None:
    full = word(kind, language, FACTS)
    bare = word(kind, language, {**FACTS, "name": "", "link": "", "code": ""})
    assert full.language == bare.language == language
    for made in (full, bare):
        for part in (made.subject, made.text, made.html):
            assert "{{" not in part
            assert "\n\n\n" not in part
    assert "https://app.example/verify?token=t" in full.text
    assert 'href="https://app.example/verify?token=t"' in full.html
    assert ("K7QF-2M9X" in full.text, "K7QF-2M9X" in full.html) == (True, True)
    assert "https:" not in bare.text + bare.html
    assert max(map(len, full.text.splitlines())) <= 80


@pytest.mark.parametrize("kind", MailKind)
def test_what_fills_a_phrase_is_escaped_in_html_once_and_is_no_template(kind: MailKind) -> None:
    hostile = "<script>&{{ 7 * 7 }}{% raw %}"
    made = word(kind, "en", {**FACTS, "app": hostile, "name": hostile})
    assert "<script>" not in made.html
    assert "&lt;script&gt;&amp;{{ 7 * 7 }}{% raw %}" in made.html
    assert "&amp;lt;" not in made.html
    assert hostile in made.text


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("de", "de"),
        ("de-CH-1996", "de"),
        ("DE", "de"),
        ("de_AT", "de"),
        ("den", "en"),
        ("fr-CA", "en"),
        ("", "en"),
        ("-", "en"),
        ("../en", "en"),
    ],
)
def test_a_language_is_chosen_by_the_longest_beginning_of_its_tag(locale: str, language: str) -> None:
    assert choose_language(locale) == language


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ada's phone", "Ada's phone"),
        ("Firefox/131.0 (X11; Linux)", "Firefox/131.0 (X11; Linux)"),
        ("https://evil.example/x", "https evil. example/x"),
        ("www.evil.example", "www. evil. example"),
        ("me@evil.example", "me evil. example"),
        ("a\r\nb\u2028c\u202ed\0e", "a b c d e"),
        ("bücher.example", "bücher. example"),
        ("x" * 61, "x" * 60 + "…"),
        ("", ""),
    ],
)
def test_a_text_of_somebodys_choice_is_made_short_and_unlinked(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_a_file_that_lacks_a_mail_is_refused(tmp_path) -> None:
    (tmp_path / "xx.toml").write_text('greeting = ""\n')
    with pytest.raises(KeyError):
        wording.Language.read(tmp_path / "xx.toml")
