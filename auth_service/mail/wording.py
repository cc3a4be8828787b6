"""The words of mails: one file a language, one layout for the text and one for the HTML."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self
from unicodedata import category

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from auth_service.mail.mails import MailKind

_HERE: Final = Path(__file__).parent
_FALLBACK: Final = "en"
_LONGEST_SHOWN: Final = 60

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A mail in words."""

    language: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """One kind of mail in one language: what stands before and after the link and the code, and what the link does."""

    subject: str
    before: tuple[str, ...]
    action: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The words of one language; they hold names in braces, filled in when a mail is made."""

    greeting: str
    greeting_without_name: str
    code_intro: str
    footer: str
    phrases: Mapping[MailKind, Phrases]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of `languages/`; one that lacks a kind of mail is refused."""
        words = tomllib.loads(path.read_text())
        phrases = {
            kind: Phrases(
                subject=words[kind]["subject"],
                before=tuple(words[kind]["before"]),
                action=words[kind].get("action", ""),
                after=tuple(words[kind].get("after", ())),
            )
            for kind in MailKind
        }
        common = ("greeting", "greeting_without_name", "code_intro", "footer")
        return cls(phrases=phrases, **{name: words[name] for name in common})


LANGUAGES: Final[Mapping[str, Language]] = {
    path.stem: Language.read(path) for path in sorted((_HERE / "languages").glob("*.toml"))
}
_BY_TAG: Final = {tag.lower(): tag for tag in LANGUAGES}

_TEXT: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - plain text; the HTML part has an environment of its own
    keep_trailing_newline=True,
)
_HTML: Final = _TEXT.overlay(autoescape=True)


def choose_language(locale: str) -> str:
    """The best language for a BCP 47 tag: itself, else what is left of it when its end is cut (RFC 4647 3.4)."""
    parts = locale.lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        found = _BY_TAG.get("-".join(parts[:length]))
        if found is not None:
            return found
    return _FALLBACK


def word(kind: MailKind, locale: str, facts: Words) -> Wording:
    """A mail in words. `facts` fill the braces; `name`, `link` and `code` are left empty where there is none."""
    tag = choose_language(locale)
    language = LANGUAGES[tag]
    phrases = language.phrases[kind]
    return Wording(
        language=tag,
        subject=_fill(_TEXT, phrases.subject, facts),
        text=_render(_TEXT, "mail.txt", tag, phrases, facts),
        html=_render(_HTML, "mail.html", tag, phrases, facts),
    )


def harmless(text: str) -> str:
    """A text of somebody's choice, fit to stand in a mail from us: short, on one line, and no mail program's link."""
    visible = "".join(character if category(character)[0] not in "CZ" else " " for character in text)
    unlinked = re.sub(r"://|@", " ", re.sub(r"\.(?=\w*[^\W\d_])", ". ", visible))
    line = " ".join(unlinked.split())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"


def _render(environment: Environment, template: str, tag: str, phrases: Phrases, facts: Words) -> str:
    language = LANGUAGES[tag]
    greeting = language.greeting if facts["name"] else language.greeting_without_name

    def fill(phrase: str) -> str:
        return _fill(environment, phrase, facts)

    return environment.get_template(template).render(
        language=tag,
        subject=fill(phrases.subject),
        greeting=fill(greeting),
        before=[fill(paragraph) for paragraph in phrases.before],
        action=fill(phrases.action),
        link=facts["link"],
        code_intro=language.code_intro,
        code=facts["code"],
        after=[fill(paragraph) for paragraph in phrases.after],
        footer=fill(language.footer),
    )


def _fill(environment: Environment, phrase: str, facts: Words) -> str:
    """A phrase with its braces filled in; in HTML what fills them is escaped, and what the file says is not."""
    filled = _compiled(environment, phrase).render(facts)
    return Markup(filled) if environment is _HTML else filled  # noqa: S704 - escaped a line before


@cache
def _compiled(environment: Environment, phrase: str) -> Template:
    return environment.from_string(phrase)
