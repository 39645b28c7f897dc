"""A page as a person meets it: headings, buttons, tables and messages, not markup."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

from django.utils import translation

VOID = {"meta", "link", "input", "br", "hr", "img"}


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tree = ET.TreeBuilder()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.tree.end(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        self.tree.end(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tree.end(tag)

    def handle_data(self, data: str) -> None:
        self.tree.data(data)


def text_of(element: ET.Element | None) -> str:
    """Return what can be read in an element, with single spaces."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


def ja(sentence: str, **values: str) -> str:
    """Return a sentence of the code as Japanese pages show it; fails where it is not translated."""
    with translation.override("ja"):
        translated = translation.gettext(sentence)
    assert translated != sentence
    return translated % values if values else translated


class Page:
    """The answer to a request, read. Fails on markup that does not nest."""

    def __init__(self, response: Any) -> None:
        self.html: str = response.content.decode()
        builder = _Builder()
        builder.feed(self.html)
        builder.close()
        self.root: ET.Element = builder.tree.close()

    def all(self, path: str) -> list[ET.Element]:
        return self.root.findall(path)

    def text(self, path: str) -> str:
        return text_of(self.root.find(path))

    @property
    def language(self) -> str:
        return self.root.get("lang", "")

    @property
    def heading(self) -> str:
        return self.text(".//h1")

    @property
    def state(self) -> str:
        """The line below the heading."""
        return self.text(".//div[@class='state']/p")

    @property
    def messages(self) -> list[str]:
        return [text_of(message) for message in self.all(".//div[@class='messages']/p")]

    @property
    def notes(self) -> list[str]:
        return [text_of(e) for e in self.root.iter() if "note" in e.get("class", "").split()]

    @property
    def totals(self) -> list[str]:
        return [text_of(total) for total in self.all(".//dd")]

    def table(self, section: str) -> list[list[str]]:
        """Return the cells of the table in the section with this heading's id."""
        found = self.all(f".//section[@aria-labelledby='{section}']//tbody/tr")
        return [[text_of(cell) for cell in row] for row in found]

    @property
    def punch(self) -> ET.Element:
        """The form with the hidden `seen`."""
        (form,) = [f for f in self.root.iter("form") if f.find(".//input[@name='seen']") is not None]
        return form

    @property
    def seen(self) -> str:
        field = self.punch.find(".//input[@name='seen']")
        return "" if field is None else field.get("value", "")

    @property
    def csrf_token(self) -> str:
        field = self.root.find(".//input[@name='csrfmiddlewaretoken']")
        return "" if field is None else field.get("value", "")

    @property
    def button(self) -> ET.Element:
        button = self.punch.find(".//button")
        assert button is not None
        return button


def fields_of(page: Page) -> dict[str, str]:
    """Return what the page's form would send."""
    (form,) = page.all(".//main//form[@data-once]")
    said = {}
    for box in form.iter("input"):
        is_box = box.get("type") in {"checkbox", "radio"}
        if not is_box or "checked" in box.attrib:
            said[box.get("name", "")] = box.get("value", "on" if is_box else "")
    said |= {box.get("name", ""): text_of(box) for box in form.iter("textarea")}
    for box in form.iter("select"):
        chosen = [option for option in box.iter("option") if "selected" in option.attrib]
        said[box.get("name", "")] = chosen[0].get("value", "") if chosen else ""
    return said
