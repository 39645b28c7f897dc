"""Gettext catalogues without GNU gettext: what is to be translated, and whether it is.

The msgids are the English, so English needs no catalogue: Django gives no English variant the
default language as its fallback. A catalogue is written so that two people's changes seldom meet:
sorted by msgid, one line per text, files without line numbers, and a header that never changes.

Babel reads and writes the files. It is a development requirement, hence imported inside functions.
"""

import ast
import io
import os
import re
import string
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from django.utils.translation import to_locale
from django.utils.translation.template import templatize

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

SOURCE_LANGUAGE = "en"
TEMPLATE_SUFFIXES = frozenset({".html", ".txt"})
COMMENT_TAG = "Translators"

# The parameters of Django's functions, in their order. `_lazy` and `_noop` take the same.
PARAMETERS = {
    "gettext": ("message",),
    "ngettext": ("singular", "plural"),
    "pgettext": ("context", "message"),
    "npgettext": ("context", "singular", "plural"),
}
# The same for Babel, which counts the arguments and marks the context with a "c".
TEMPLATE_KEYWORDS = {
    "_": (1,),
    "gettext": (1,),
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
END_OF_COMMENT = re.compile(r"{%\s*endcomment\s*%}")
STRING_OR_ODD_SPACE = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|[^\S \t]""")

PO_LINE = re.compile(r'(#.*|((msgctxt|msgid|msgid_plural|msgstr(\[\d+\])?) +)?"([^"\\]|\\.)*"\s*|\s*)')


class CatalogueError(Exception):
    """Something that a person must mend first; its text is one line for each problem."""


class Key(NamedTuple):
    """What gettext looks a translation up by."""

    msgid: str
    context: str | None = None

    def __str__(self) -> str:
        return repr(self.msgid) if self.context is None else f"{self.msgid!r} (context {self.context!r})"


@dataclass
class Found:
    """What the source says of one message."""

    plural: str | None = None
    files: set[str] = field(default_factory=set)
    comments: list[str] = field(default_factory=list)


# One use of a message: key, plural, translators' comments.
Use = tuple[Key, str | None, list[str]]


def require_babel() -> None:
    """Raise CatalogueError, saying what to install, unless Babel can be imported."""
    try:
        for module in ("catalog", "extract", "mofile", "pofile"):
            import_module(f"babel.messages.{module}")
    except ImportError as error:
        raise CatalogueError("Babel is not installed: pip install -r requirements-dev.txt") from error


def catalogue_path(locale_dir: Path, language: str) -> Path:
    """Return where Django looks for the language's catalogue."""
    return locale_dir / to_locale(language) / "LC_MESSAGES" / "django.po"


# --- extraction -------------------------------------------------------------------------------------------


def extract(root: Path, packages: Iterable[Path], template_dirs: Iterable[Path]) -> dict[Key, Found]:
    """Return every message of the packages' Python and of the templates, sorted by msgid.

    Files are named relative to `root`. Raises CatalogueError for a file that cannot be read as what
    it is, for a text put together before it is translated, and for one msgid with two plurals.
    """
    require_babel()
    found: dict[Key, Found] = {}
    problems: list[str] = []
    python = [path for package in packages for path in package.rglob("*.py")]
    templates = [
        path for folder in template_dirs for path in folder.rglob("*") if path.suffix in TEMPLATE_SUFFIXES
    ]
    for path in sorted({*python, *templates}):
        name = path.relative_to(root).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
            uses = list(_uses_in_python(text) if path.suffix == ".py" else _uses_in_template(text, name))
        except (SyntaxError, UnicodeDecodeError, tokenize.TokenError) as error:
            problems.append(f"{name}: {error}")
            continue
        except CatalogueError as error:
            problems.extend(f"{name}:{line}" for line in str(error).splitlines())
            continue
        for key, plural, comments in uses:
            message = found.setdefault(key, Found())
            if plural and message.plural not in {None, plural}:
                problems.append(f"{name}: {key} has another plural elsewhere, {message.plural!r}")
            message.plural = message.plural or plural
            message.files.add(name)
            message.comments += [comment for comment in comments if comment not in message.comments]
    if problems:
        raise CatalogueError("\n".join(problems))
    return dict(sorted(found.items(), key=lambda item: (item[0].msgid, item[0].context or "")))


def _uses_in_python(text: str) -> Iterator[Use]:
    # The syntax tree and not Babel's reader, which takes `_("a" if x else "b")` for "ab".
    tree = ast.parse(text)
    names = _function_names(tree)
    comments = _own_line_comments(text)
    problems: list[str] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                function = names.get(name)
            case _:
                function = None
        if function is None:
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        values = {
            parameter: node.args[index] if index < len(node.args) else keywords.get(parameter)
            for index, parameter in enumerate(PARAMETERS[function])
        }
        texts = {
            parameter: value.value
            for parameter, value in values.items()
            if isinstance(value, ast.Constant) and isinstance(value.value, str)
        }
        if len(texts) == len(values):
            key = Key(texts.get("message") or texts.get("singular", ""), texts.get("context"))
            if key.msgid:
                first_text = next(value for value in values.values() if value)
                above = _comments_above(comments, first_text.lineno) or _comments_above(comments, node.lineno)
                yield key, texts.get("plural"), above
        elif any(_is_assembled(value) for value in values.values()):
            problems.append(f"{node.lineno}: {name}() needs whole literals, or nothing can be looked up")
    if problems:
        raise CatalogueError("\n".join(problems))


def _function_names(tree: ast.Module) -> dict[str, str]:
    # The name that a file calls a function by -> a key of PARAMETERS.
    names = {"_": "gettext"}
    for function in PARAMETERS:
        names |= dict.fromkeys((function, f"{function}_lazy", f"{function}_noop"), function)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
            names |= {
                alias.asname: names[alias.name]
                for alias in node.names
                if alias.asname and alias.name in names
            }
    return names


def _is_assembled(node: ast.expr | None) -> bool:
    # A variable is fine: its text was marked where it was written.
    match node:
        case ast.JoinedStr() | ast.BinOp() | ast.IfExp() | ast.BoolOp():
            return True
        case ast.Call(func=ast.Attribute(value=ast.Constant())):
            return True
    return False


def _own_line_comments(text: str) -> dict[int, str]:
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
    }


def _comments_above(comments: dict[int, str], line: int) -> list[str]:
    block: list[str] = []
    while (line := line - 1) in comments:
        block.insert(0, comments[line])
        if comments[line].startswith(COMMENT_TAG):
            return block
    return []


def _uses_in_template(text: str, name: str) -> Iterator[Use]:
    from babel.messages.extract import extract as babel_extract

    # What follows a block of comment on its line, `templatize` puts into the comment.
    apart = END_OF_COMMENT.sub(r"\g<0>\n", text)
    source = io.BytesIO(_tidy(templatize(apart, origin=name)).encode())
    for _line, texts, comments, context in babel_extract(
        "python", source, keywords=TEMPLATE_KEYWORDS, comment_tags=[COMMENT_TAG]
    ):
        msgid, plural = (texts, None) if isinstance(texts, str) else (texts[0], texts[1])
        yield Key(msgid, context), plural, list(comments)


def _tidy(templatized: str) -> str:
    # Python's tokenizer minds indentation and ideographic spaces, which in a template mean nothing. Nor
    # does an empty line, which would part a message from the comment above it.
    lines = (line.strip() for line in templatized.split("\n"))
    return "".join(
        STRING_OR_ODD_SPACE.sub(lambda match: match[1] or " ", line) + "\n"
        for line in lines
        if line.strip("# ")
    )


# --- catalogues -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """How a catalogue stands to the source; the lists hold lines fit for print."""

    missing: list[str]
    obsolete: list[str]
    untranslated: list[str]
    fuzzy: list[str]
    mismatched: list[str]

    def lines(self) -> list[str]:
        """Return every problem, one a line, kind by kind."""
        return [f"{kind}: {line}" for kind, lines in vars(self).items() for line in lines]


def report(found: dict[Key, Found], po: Path, language: str) -> Report:
    """Compare the catalogue with the source; a file that is not there is an empty catalogue."""
    catalogue = _read(po, language)
    messages = _messages(catalogue)
    known = {key: message for key, message in messages.items() if key in found}
    obsolete = {*messages, *map(_key, catalogue.obsolete.values())} - found.keys()
    return Report(
        missing=[f"{key}, in {', '.join(sorted(found[key].files))}" for key in found if key not in messages],
        obsolete=sorted(map(str, obsolete)),
        untranslated=[
            str(key)
            for key, message in known.items()
            if not _is_translated(message) or message.pluralizable != (found[key].plural is not None)
        ],
        fuzzy=[str(key) for key, message in known.items() if message.fuzzy],
        mismatched=_mismatches(known.values()),
    )


def merge(found: dict[Key, Found], po: Path, language: str) -> bytes:
    """Return the catalogue's file as it should be: the source's messages with the file's translations.

    Translators' own comments and flags stay; messages that the source no longer has go. The header
    carries neither dates nor people, and keeps the comment above it.
    """
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    old = _read(po, language)
    messages = _messages(old)
    new = Catalog(locale=to_locale(language), fuzzy=False)
    for key, message in found.items():
        known = messages.get(key)
        new.add(
            key.msgid if message.plural is None else (key.msgid, message.plural),
            _fit(known, plural=message.plural is not None, forms=old.num_plurals),
            locations=[(name, 0) for name in sorted(message.files)],
            auto_comments=message.comments,
            user_comments=known.user_comments if known else (),
            flags=known.flags if known else (),
            context=key.context,
        )
    header = [
        f"Language: {to_locale(language)}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        f"Plural-Forms: {old.plural_forms}",
    ]
    text = "".join(f"{line}\n" for line in _header_comment(po))
    text += 'msgid ""\nmsgstr ""\n' + "".join(f'"{line}\\n"\n' for line in header) + "\n"
    body = io.BytesIO()
    write_po(body, new, width=0, omit_header=True, include_lineno=False)
    return (text.encode() + body.getvalue()).rstrip(b"\n") + b"\n"


def write(path: Path, content: bytes) -> None:
    """Put the content in place whole: who reads the file meanwhile sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def outdated(locale_dirs: Iterable[Path]) -> list[Path]:
    """Return the .po files whose .mo is absent or was made from another state of the file."""
    # Equal and not merely newer: a copied or unpacked file may well carry an older time.
    return [
        po
        for locale_dir in locale_dirs
        for po in sorted(locale_dir.glob("*/LC_MESSAGES/*.po"))
        if not (mo := po.with_suffix(".mo")).exists() or mo.stat().st_mtime_ns != po.stat().st_mtime_ns
    ]


def compile_catalogue(po: Path) -> None:
    """Write the .mo beside the .po, with the .po's time of change, which `outdated` compares.

    Leaves out what is untranslated or fuzzy: people then see the English. Raises CatalogueError when
    a translation's placeholders differ from the msgid's, for such a text fails when it is shown.
    """
    require_babel()
    from babel.messages.mofile import write_mo

    stamp = po.stat().st_mtime_ns
    catalogue = _read(po, po.parent.parent.name)
    if mismatched := _mismatches(catalogue):
        raise CatalogueError("\n".join(f"{po}: placeholders differ: {line}" for line in mismatched))
    for key, message in _messages(catalogue).items():
        # Babel would give a plural message without translation its singular for every number.
        if message.fuzzy or not _is_translated(message):
            catalogue.delete(key.msgid, key.context)
    # Babel's header names the moment and an invented translator, unless told otherwise.
    catalogue.creation_date = datetime.fromtimestamp(0, UTC)
    catalogue.last_translator = catalogue.language_team = catalogue.msgid_bugs_address = ""
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    mo = po.with_suffix(".mo")
    write(mo, compiled.getvalue())
    os.utime(mo, ns=(stamp, stamp))


def _read(po: Path, language: str) -> "Catalog":
    require_babel()
    from babel.messages.pofile import PoFileError, read_po

    try:
        lines = po.read_text(encoding="utf-8").split("\n") if po.exists() else []
        catalogue = read_po(lines, locale=to_locale(language), abort_invalid=True)
    except (PoFileError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{po}: {error}") from error
    # Babel loses a text whose quotes do not match, and the second of two translations, in silence.
    problems = [
        f"{po}:{number}: {line}" for number, line in enumerate(lines, 1) if not PO_LINE.fullmatch(line)
    ]
    msgids = Counter(line for line in lines if line.startswith("msgid "))
    if msgids.total() > len(list(catalogue)):
        problems += [f"{po}: twice: {line}" for line, times in msgids.items() if times > 1]
    if problems:
        raise CatalogueError("\n".join(problems))
    return catalogue


def _header_comment(po: Path) -> list[str]:
    # From the text, because Babel puts this year for every "YEAR" in it.
    lines = po.read_text(encoding="utf-8").splitlines() if po.exists() else []
    end = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line for line in lines[:end] if not line.startswith("#,")]


def _key(message: "Message") -> Key:
    return Key(message.id if isinstance(message.id, str) else message.id[0], message.context)


def _messages(catalogue: "Catalog") -> dict[Key, "Message"]:
    return {_key(message): message for message in catalogue if message.id}


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value or "",) if value is None or isinstance(value, str) else tuple(value)


def _is_translated(message: "Message") -> bool:
    return all(_texts(message.string))


def _fit(known: "Message | None", *, plural: bool, forms: int) -> str | tuple[str, ...]:
    # A message that gained or lost its plural keeps its text only where one form serves all numbers.
    texts = _texts(known.string) if known else ("",)
    if not plural:
        return texts[0] if len(texts) == 1 else ""
    return texts if len(texts) == forms else ("",) * forms


# --- placeholders -----------------------------------------------------------------------------------------


NAMED = re.compile(r"%\(\w+\)[#0\- +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")
POSITIONAL = re.compile(r"%[#0\-+]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")


def placeholders(text: str) -> list[str]:
    """Return what code fills in: %(name)s, else {name}, else %s, %d in their order."""
    if named := NAMED.findall(text):
        return sorted(set(named))
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:
        fields = []
    if fields:
        return sorted(f"{{{name}}}" for name in {*fields}) + ["{}"] * (fields.count("") - 1)
    return POSITIONAL.findall(text.replace("%%", ""))


def _is_percent_format(text: str) -> bool:
    # A lone per cent sign beside %(name)s raises when the text is shown.
    values: object = defaultdict(int) if NAMED.search(text) else (0,) * len(placeholders(text))
    try:
        text % values
    except (TypeError, ValueError):
        return False
    return True


def _mismatches(messages: Iterable["Message"]) -> list[str]:
    lines = []
    for message in messages:
        ids, strings = _texts(message.id), _texts(message.string)
        if not ids[0] or not all(strings):
            continue
        for index, translated in enumerate(strings):
            # "One day" may do without the number, but only where it has a form of its own.
            allowed = ids if len(strings) > 1 and index == 0 else ids[-1:]
            if any(_same_placeholders(original, translated) for original in allowed):
                continue
            lines.append(f"{_key(message)}: {allowed[-1]!r} but {translated!r}")
    return lines


def _same_placeholders(original: str, translated: str) -> bool:
    if placeholders(original) != placeholders(translated):
        return False
    return _is_percent_format(translated) or "%" not in original or not _is_percent_format(original)
