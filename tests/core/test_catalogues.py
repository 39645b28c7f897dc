import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.template import Context, Engine
from django.test import RequestFactory, override_settings
from django.utils.translation import get_language, gettext, ngettext, npgettext, override, pgettext

from timerecord.core.catalogues import (
    CatalogueError,
    Found,
    Key,
    compile_catalogue,
    extract,
    merge,
    outdated,
    placeholders,
    report,
)

PYTHON = '''
"""A docstring with _("no message")."""
from django.utils import translation
from django.utils.translation import gettext_lazy as _, gettext_noop, npgettext_lazy
from django.utils.translation import ngettext as counted

# Translators: the verb
A = _("Clock out")
B = gettext_noop("Marked")
C = counted("%(n)s day", "%(n)s days", 2) % {"n": 2}
D = translation.pgettext("a person", "Employee")
E = npgettext_lazy("a period", "one month", "{n} months", "n")
F = _(
    "Two literals "
    "are one message"
)
G = _("Outer %(inner)s") % {"inner": _("Inner")}
H = _(A)  # a variable was marked elsewhere
I = {
    "k": counted(
        # Translators: above the text
        singular="Keyword",
        plural="Keywords",
        number=1,
    )
}


def gettext(text: str = "not a message") -> str:
    return text
'''

TEMPLATE = """{% load i18n %}
<title>{% translate "Clock in" %}　全角 and 'an apostrophe</title>
    {% trans 'Old name' %}
  {% translate "Closing" context "month" as month %}
{# Translators: greets #}
{% blocktranslate with name=user.name %}Hello {{ name }}, 100% welcome{% endblocktranslate %}
{% blocktranslate trimmed count n=days|length context "leave" %}
    {{ n }} day
    left
{% plural %}
    {{ n }} days
    left
{% endblocktranslate %}
{% blocktrans %}Old block{% endblocktrans %}
{% blocktranslate count n=n %}{{ n }} hour{% plural %}{{ n }} hours{% endblocktranslate %}
{{ _("Variable") }} {{ x|default:_("Nothing　here") }} {% include "x.html" with title=_("Argument") %}
{% comment %}
Translators: said twice
{% endcomment %}
{% translate "Commented" %}
{% comment %}Translators: beside{% endcomment %}{% translate "On that line" %}
{% comment %}{% translate "Not this" %}{% endcomment %}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "timerecord/words.py": PYTHON,
        "timerecord/notes.md": 'not read: _("Markdown")',
        "templates/app/page.html": TEMPLATE,
        "templates/app/mail.txt": '{% load i18n %}{% translate "Subject" %}{% translate "Clock in" %}',
        "templates/app/code.js": '{% translate "Not a template" %}',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(project: Path) -> Iterator[Callable[..., str]]:
    """Call a command in the project; returns what it printed."""

    def call(*arguments: str) -> str:
        printed = StringIO()
        call_command(*arguments, stdout=printed)
        return printed.getvalue()

    templates = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [project / "templates"]}
    ]
    with override_settings(BASE_DIR=project, LOCALE_PATHS=[project / "locale"], TEMPLATES=templates):
        yield call


@pytest.fixture
def po(project: Path) -> Path:
    return project / "locale/ja/LC_MESSAGES/django.po"


def found_in(project: Path) -> dict[Key, Found]:
    return extract(project, [project / "timerecord"], [project / "templates"])


def entry(msgid: str, msgstr: str, above: str = "") -> str:
    return f'{above}\nmsgid "{msgid}"\nmsgstr "{msgstr}"\n'


def write_catalogue(po: Path, *entries: str) -> None:
    header = '"Content-Type: text/plain; charset=utf-8\\n"\n"Plural-Forms: nplurals=1; plural=0;\\n"'
    po.parent.mkdir(parents=True, exist_ok=True)
    po.write_text(
        f'# Kept above the header in YEAR.\nmsgid ""\nmsgstr ""\n{header}\n' + "".join(entries), "utf-8"
    )


# --- extraction


def test_every_construct_of_python_and_templates_is_found_and_nothing_else(project: Path) -> None:
    assert {key: message.plural for key, message in found_in(project).items()} == {
        Key("Clock out"): None,
        Key("Marked"): None,
        Key("%(n)s day"): "%(n)s days",
        Key("Employee", "a person"): None,
        Key("one month", "a period"): "{n} months",
        Key("Two literals are one message"): None,
        Key("Outer %(inner)s"): None,
        Key("Inner"): None,
        Key("Keyword"): "Keywords",
        Key("Clock in"): None,
        Key("Old name"): None,
        Key("Closing", "month"): None,
        Key("Hello %(name)s, 100%% welcome"): None,
        Key("%(n)s day left", "leave"): "%(n)s days left",
        Key("Old block"): None,
        Key("%(n)s hour"): "%(n)s hours",
        Key("Variable"): None,
        Key("Nothing　here"): None,
        Key("Argument"): None,
        Key("Commented"): None,
        Key("On that line"): None,
        Key("Subject"): None,
    }


def test_files_and_translator_comments_come_with_the_message(project: Path) -> None:
    found = found_in(project)
    assert found[Key("Clock in")].files == {"templates/app/page.html", "templates/app/mail.txt"}
    assert {key.msgid: message.comments for key, message in found.items() if message.comments} == {
        "Clock out": ["Translators: the verb"],
        "Keyword": ["Translators: above the text"],
        "Hello %(name)s, 100%% welcome": ["Translators: greets"],
        "Commented": ["Translators: said twice"],
        "On that line": ["Translators: beside"],
    }


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ('_(f"Hello {name}")', "_"),
        ('_("Hello " + name)', "_"),
        ('_("Yes" if name else "No")', "_"),
        ('gettext("Hello {}".format(name))', "gettext"),
        ('pgettext("greeting", "Hello %s" % name)', "pgettext"),
    ],
)
def test_a_text_put_together_before_its_translation_is_refused(project: Path, call: str, name: str) -> None:
    (project / "timerecord/words.py").write_text(f"\nname = 1\n{call}\n")
    with pytest.raises(CatalogueError) as caught:
        found_in(project)
    assert str(caught.value) == (
        f"timerecord/words.py:3: {name}() needs whole literals, or nothing can be looked up"
    )


def test_two_plurals_of_one_message_and_broken_files_are_told_together(project: Path) -> None:
    (project / "timerecord/a.py").write_text('ngettext("%(n)s day", "%(n)s dayz", 2)\n')
    (project / "timerecord/broken.py").write_text("def (\n")
    (project / "templates/broken.html").write_text("{% blocktranslate %}{% if x %}{% endblocktranslate %}")
    with pytest.raises(CatalogueError) as caught:
        found_in(project)
    broken_template, broken_python, plural = str(caught.value).splitlines()
    assert broken_template.startswith("templates/broken.html: Translation blocks must not include")
    assert broken_python.startswith("timerecord/broken.py: invalid syntax")
    assert plural == "timerecord/words.py: '%(n)s day' has another plural elsewhere, '%(n)s dayz'"


# --- merging


def test_a_new_catalogue_is_the_same_each_time_and_names_no_moment_and_nobody(
    po: Path, run: Callable[..., str]
) -> None:
    assert run("extract_messages") == (
        "ja: 22 messages, 22 added, 0 removed, 22 untranslated, 0 fuzzy, 0 with other placeholders\n"
    )
    text = po.read_text(encoding="utf-8")
    assert text.startswith(
        'msgid ""\nmsgstr ""\n"Language: ja\\n"\n"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
        '"Plural-Forms: nplurals=1; plural=0;\\n"\n\n'
        '#: timerecord/words.py\n#, python-format\nmsgid "%(n)s day"\n'
    )
    assert (
        '\n#: templates/app/mail.txt templates/app/page.html\nmsgid "Clock in"\nmsgstr ""\n\n'
        '#. Translators: the verb\n#: timerecord/words.py\nmsgid "Clock out"\n'
    ) in text
    written = po.stat().st_mtime_ns
    run("extract_messages")
    assert po.read_text(encoding="utf-8") == text
    assert po.stat().st_mtime_ns == written
    assert [path.name for path in po.parent.iterdir()] == ["django.po"]


def test_merging_keeps_translations_comments_and_flags_and_removes_the_obsolete(
    po: Path, run: Callable[..., str]
) -> None:
    write_catalogue(
        po,
        entry("Clock out", "退勤", "# Said at the gate."),
        entry("Clock in", "出勤?", "#, fuzzy"),
        entry("Clock ins", "消える"),
        '\nmsgctxt "month"\nmsgid "Closing"\nmsgstr "締め"\n',
        '\nmsgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s日"\n',
        '\n#~ msgid "Long gone"\n#~ msgstr "昔"\n',
    )
    assert run("extract_messages").startswith(
        "ja: 22 messages, 18 added, 2 removed, 18 untranslated, 1 fuzzy"
    )
    text = po.read_text(encoding="utf-8")
    assert text.startswith('# Kept above the header in YEAR.\nmsgid ""\n')
    assert (
        "# Said at the gate.\n#. Translators: the verb\n#: timerecord/words.py\n"
        'msgid "Clock out"\nmsgstr "退勤"\n'
    ) in text
    assert '#, fuzzy\nmsgid "Clock in"\nmsgstr "出勤?"\n' in text
    assert 'msgctxt "month"\nmsgid "Closing"\nmsgstr "締め"\n' in text
    assert 'msgid_plural "%(n)s days"\nmsgstr[0] "%(n)s日"\n' in text
    assert "消える" not in text
    assert "Long gone" not in text


def test_a_message_that_becomes_plural_keeps_its_one_form(project: Path, po: Path) -> None:
    write_catalogue(po, entry("day", "日"))
    found = {Key("day"): Found("days", {"a.py"})}
    assert report(found, po, "ja").untranslated == ["'day'"]
    po.write_bytes(merge(found, po, "ja"))
    assert 'msgid_plural "days"\nmsgstr[0] "日"\n' in po.read_text(encoding="utf-8")
    assert report(found, po, "ja").lines() == []


# --- --check


def test_check_names_every_kind_of_problem_and_writes_nothing(
    project: Path, po: Path, run: Callable[..., str]
) -> None:
    (project / "timerecord/words.py").write_text("")
    (project / "templates/app/page.html").write_text(
        '{% load i18n %}{% translate "New" %}{% translate "Closing" context "month" %}'
        '{% translate "Unsure" %}'
        "{% blocktranslate %}Hello {{ name }}{% endblocktranslate %}"
    )
    write_catalogue(
        po,
        entry("Subject", ""),
        '\nmsgctxt "month"\nmsgid "Closing"\nmsgstr "締め"\n',
        entry("Closing", "してもよい"),
        entry("Unsure", "多分", "#, fuzzy"),
        entry("Hello %(name)s", "%(nama)s様"),
    )
    before = po.read_bytes()
    with pytest.raises(CommandError) as caught:
        run("extract_messages", "--check")
    assert str(caught.value).splitlines() == [
        "ja: missing: 'Clock in', in templates/app/mail.txt",
        "ja: missing: 'New', in templates/app/page.html",
        "ja: obsolete: 'Closing'",
        "ja: untranslated: 'Subject'",
        "ja: fuzzy: 'Unsure'",
        "ja: mismatched: 'Hello %(name)s': 'Hello %(name)s' but '%(nama)s様'",
        "Run manage.py extract_messages, then translate.",
    ]
    assert po.read_bytes() == before


def test_check_of_a_complete_catalogue_succeeds(project: Path, po: Path, run: Callable[..., str]) -> None:
    (project / "timerecord/words.py").write_text("")
    (project / "templates/app/page.html").unlink()
    write_catalogue(po, entry("Subject", "件名"), entry("Clock in", "出勤"))
    assert run("extract_messages", "--check") == "2 messages, all of them translated\n"


def test_check_without_a_catalogue_misses_everything(po: Path, run: Callable[..., str]) -> None:
    with pytest.raises(CommandError) as caught:
        run("extract_messages", "--check")
    assert str(caught.value).count("ja: missing: ") == 22
    assert not po.parent.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%(b)s of %(a)d, %(b)s", ["%(a)d", "%(b)s"]),
        ("{b} of {a!r:>4} {{no}}", ["{a}", "{b}"]),
        ("{} of {}", ["{}", "{}"]),
        ("%s has %d", ["%s", "%d"]),
        ("100%% of %s", ["%s"]),
        ("100% certain {", []),
        ("none", []),
    ],
)
def test_placeholders(text: str, expected: list[str]) -> None:
    assert placeholders(text) == expected


@pytest.mark.parametrize(
    ("msgid", "msgstr", "fits"),
    [
        ("%(a)s of %(b)s", "%(b)sの%(a)s", True),
        ("%(a)s", "%(a)d", False),
        ("%(a)s", "%(a)", False),
        ("%(a)s%% done", "%(a)s%完了", False),
        ("%(a)s%% done", "%(a)sパーセント", True),
        ("%s by %d", "%d、%s", False),
        ("{a} of {b}", "{b}の{a}", True),
        ("{a}", "{b}", False),
        ("{a}", "{a", False),
        ("{start:%H:%M}", "{start:%H時%M分}", True),
        ("plain", "%(a)s", False),
        ("plain", "{a}", False),
        ("100% sure", "100%確か", True),
        ("%Y/%m/%d", "%Y年%m月%d日", True),
    ],
)
def test_a_translation_fills_in_what_the_message_fills_in(
    po: Path, msgid: str, msgstr: str, fits: bool
) -> None:
    write_catalogue(po, entry(msgid, msgstr))
    problems = report({Key(msgid): Found()}, po, "ja")
    assert problems.mismatched == ([] if fits else [f"{msgid!r}: {msgid!r} but {msgstr!r}"])


def test_only_a_form_of_its_own_may_leave_out_the_number(po: Path) -> None:
    found = {Key("One day"): Found("%(n)s days")}
    plural = '\nmsgid "One day"\nmsgid_plural "%(n)s days"\n'
    write_catalogue(po, f'{plural}msgstr[0] "一日"\n')
    assert report(found, po, "ja").mismatched == ["'One day': '%(n)s days' but '一日'"]
    po.write_text(
        f'msgid ""\nmsgstr ""\n"Language: de\\n"\n{plural}msgstr[0] "Ein Tag"\nmsgstr[1] "%(n)s Tage"\n'
    )
    assert report(found, po, "de").lines() == []


# --- compiling


def compiled_words(po: Path) -> None:
    write_catalogue(
        po,
        entry("Clock in", "出勤"),
        entry("Unsure", "多分", "#, fuzzy"),
        '\nmsgctxt "month"\nmsgid "Closing"\nmsgstr "締め"\n',
        '\nmsgid "%(n)s day"\nmsgid_plural "%(n)s days"\nmsgstr[0] "%(n)s日"\n',
        '\nmsgid "%(n)s hour"\nmsgid_plural "%(n)s hours"\nmsgstr[0] ""\n',
        '\nmsgctxt "leave"\nmsgid "%(n)s day left"\n'
        'msgid_plural "%(n)s days left"\nmsgstr[0] "残り%(n)s日"\n',
    )


def django_reads(project: Path) -> override_settings:
    # Made anew, because Django forgets the catalogues it has read when this setting changes.
    return override_settings(LOCALE_PATHS=[project / "locale"], LANGUAGE_CODE="ja")


def words() -> tuple[str, ...]:
    """Return the texts that `compiled_words` translates, in the active language."""
    engine = Engine(libraries={"i18n": "django.templatetags.i18n"})
    source = """{% load i18n %}{% blocktranslate trimmed count n=3 context "leave" %}
        {{ n }} day left{% plural %}
        {{ n }} days left
    {% endblocktranslate %}"""
    return (
        gettext("Clock in"),
        gettext("Unsure"),
        pgettext("month", "Closing"),
        gettext("Closing"),
        ngettext("%(n)s day", "%(n)s days", 1) % {"n": 1},
        ngettext("%(n)s day", "%(n)s days", 2) % {"n": 2},
        ngettext("%(n)s hour", "%(n)s hours", 2) % {"n": 2},
        npgettext("leave", "%(n)s day left", "%(n)s days left", 1) % {"n": 1},
        engine.from_string(source).render(Context()),
    )


ENGLISH = (
    "Clock in",
    "Unsure",
    "Closing",
    "Closing",
    "1 day",
    "2 days",
    "2 hours",
    "1 day left",
    "3 days left",
)


def test_django_speaks_japanese_from_the_compiled_catalogue(
    project: Path, po: Path, run: Callable[..., str]
) -> None:
    compiled_words(po)
    assert run("compile_messages") == f"Compiled {po.with_suffix('.mo')}\n"
    with django_reads(project), override("ja"):
        # What is fuzzy or untranslated stays English, in the right number.
        assert words() == ("出勤", "Unsure", "締め", "Closing", "1日", "2日", "2 hours", "残り1日", "残り3日")


@pytest.mark.parametrize("language", ["en", "en-gb"])
def test_english_is_english_although_japanese_is_the_default(
    project: Path, po: Path, run: Callable[..., str], language: str
) -> None:
    compiled_words(po)
    run("compile_messages")
    assert not (project / "locale/en").exists()
    with django_reads(project):
        with override("ja"):
            assert gettext("Clock in") == "出勤"
        with override(language):
            assert words() == ENGLISH


@pytest.mark.parametrize(
    ("accept", "language", "text"),
    [
        ("en", "en", "Clock in"),
        ("en-US,en;q=0.9,ja;q=0.5", "en", "Clock in"),
        ("ja,en;q=0.5", "ja", "出勤"),
        ("fr", "ja", "出勤"),
        (None, "ja", "出勤"),
    ],
)
def test_the_middleware_serves_english_without_an_english_catalogue(
    project: Path, po: Path, run: Callable[..., str], accept: str | None, language: str, text: str
) -> None:
    compiled_words(po)
    run("compile_messages")

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"{get_language()} {gettext('Clock in')}")

    request = RequestFactory(headers={"accept-language": accept} if accept else None).get("/")
    with django_reads(project), override(None):
        response = LocaleMiddleware(view)(request)
        assert isinstance(response, HttpResponse)
        assert response.content.decode() == f"{language} {text}"


def test_only_a_changed_catalogue_is_compiled(
    po: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_words(po)
    mo = po.with_suffix(".mo")
    assert run("compile_messages") == f"Compiled {mo}\n"
    first, written = mo.read_bytes(), mo.stat().st_mtime_ns
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "babel.messages.mofile", None)
        assert run("compile_messages") == ""
    assert mo.stat().st_mtime_ns == written

    mo.unlink()
    assert run("compile_messages") == f"Compiled {mo}\n"
    assert mo.read_bytes() == first

    write_catalogue(po, entry("Clock in", "打刻"))
    assert outdated([po.parents[2]]) == [po]
    run("compile_messages")
    assert "打刻".encode() in mo.read_bytes()


def test_a_translation_that_would_fail_when_shown_is_not_compiled(po: Path, run: Callable[..., str]) -> None:
    write_catalogue(po, entry("Hello %(name)s", "%(nama)s様"))
    with pytest.raises(CommandError) as caught:
        run("compile_messages")
    assert (
        str(caught.value) == f"{po}: placeholders differ: 'Hello %(name)s': 'Hello %(name)s' but '%(nama)s様'"
    )
    assert not po.with_suffix(".mo").exists()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ('msgstr "without its msgid\n', ':6: msgstr "without its msgid'),
        ('msgid "a"\nmsgstr "quoted "badly""\n', ':7: msgstr "quoted "badly""'),
        ("<<<<<<< HEAD\n", ": Unknown or misformatted keyword on 5"),
        (entry("a", "b") + entry("a", "c"), ': twice: msgid "a"'),
    ],
)
def test_a_broken_catalogue_is_told_and_stays(
    po: Path, run: Callable[..., str], broken: str, told: str
) -> None:
    write_catalogue(po, broken)
    before = po.read_bytes()
    for command in ["extract_messages", "compile_messages"]:
        with pytest.raises(CommandError) as caught:
            run(command)
        assert str(caught.value) == f"{po}{told}"
    assert po.read_bytes() == before


@pytest.mark.parametrize("command", ["extract_messages", "compile_messages"])
def test_without_babel_one_line_says_what_to_install(
    po: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    compiled_words(po)
    monkeypatch.setitem(sys.modules, "babel.messages.pofile", None)
    with pytest.raises(CommandError) as caught:
        run(command)
    assert str(caught.value) == "Babel is not installed: pip install -r requirements-dev.txt"


def test_a_compiled_catalogue_can_be_read_by_other_accounts(po: Path) -> None:
    compiled_words(po)
    compile_catalogue(po)
    assert po.with_suffix(".mo").stat().st_mode == po.stat().st_mode
