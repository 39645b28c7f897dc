import pytest

from accounts.devices import name_of

SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{IPHONE} {SAFARI} Mobile/15E148 Safari/604.1", "Safari · iPhone"),
        (f"{IPHONE} {SAFARI.replace('Version', 'CriOS')} Mobile/15E148 Safari/604.1", "Chrome · iPhone"),
        (f"{IPHONE} {SAFARI.partition(' Version')[0]} Mobile/15E148 Safari Line/15.1.0", "LINE · iPhone"),
        (f"{ANDROID} {CHROME} Mobile Safari/537.36", "Chrome · Android"),
        (f"{ANDROID} {CHROME} SamsungBrowser/28.0 Mobile Safari/537.36", "Samsung Internet · Android"),
        (f"{WINDOWS} {CHROME} Safari/537.36", "Chrome · Windows"),
        (f"{WINDOWS} {CHROME} Safari/537.36 Edg/141.0.0.0", "Edge · Windows"),
        ("Mozilla/5.0 (Windows NT 10.0; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox · Windows"),
        (f"{MAC} {SAFARI} Safari/605.1.15", "Safari · Mac"),
        ("Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15", "iPad"),
        ("curl/8.14.1", ""),
        ("", ""),
    ],
)
def test_what_a_device_is_called(user_agent: str, name: str) -> None:
    assert name_of(user_agent) == name
