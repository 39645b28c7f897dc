"""What to call the device of a session, from what its browser calls itself (`User-Agent`).

Names are brands, the same in every language. The order matters: most browsers call themselves by others'
names as well.
"""

import re
from typing import Final

BROWSERS: Final = (
    (re.compile(r"\bLine/"), "LINE"),
    (re.compile(r"\bYJApp-|\bYJTop"), "Yahoo! JAPAN"),
    (re.compile(r"\bEdg(A|iOS)?/"), "Edge"),
    (re.compile(r"\bOPR/"), "Opera"),
    (re.compile(r"\bSamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"\b(Firefox|FxiOS)/"), "Firefox"),
    (re.compile(r"\b(Chrome|CriOS|Chromium)/"), "Chrome"),
    (re.compile(r"\bVersion/.*\bSafari/"), "Safari"),
)
SYSTEMS: Final = (
    (re.compile(r"\biPhone\b"), "iPhone"),
    (re.compile(r"\biPad\b"), "iPad"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bWindows\b"), "Windows"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bMacintosh\b"), "Mac"),
    (re.compile(r"\bLinux\b"), "Linux"),
)


def name_of(user_agent: str) -> str:
    """Return such as "Safari · iPhone"; the half that is known, or "" for neither."""
    known = (
        next((name for pattern, name in names if pattern.search(user_agent)), "")
        for names in (BROWSERS, SYSTEMS)
    )
    return " · ".join(filter(None, known))
