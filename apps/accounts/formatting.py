"""Text for sessions and browsers: the same on pages and in the audit trail."""

from __future__ import annotations

import re

from apps.accounts.models import UserSession

# The order matters, because Edge and Opera also call themselves Chrome, and Chrome calls itself Safari.
_BROWSERS = (
    (re.compile(r"\bEdg(?:e|A|iOS)?/(\d+)"), "Edge"),
    (re.compile(r"\bOPR/(\d+)"), "Opera"),
    (re.compile(r"\b(?:Firefox|FxiOS)/(\d+)"), "Firefox"),
    (re.compile(r"\b(?:HeadlessChrome|Chrome|CriOS)/(\d+)"), "Chrome"),
    (re.compile(r"\bVersion/(\d+)[\d.]* (?:Mobile/\S+ )?Safari/"), "Safari"),
    (re.compile(r"^curl/(\d+)"), "curl"),
)
_SYSTEMS = (
    (re.compile(r"\b(?:iPhone|iPad|iPod)\b"), "iOS"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bWindows\b"), "Windows"),
    (re.compile(r"\bMac OS X\b|\bMacintosh\b"), "macOS"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bLinux\b"), "Linux"),
)
_SHORT = 40


def browser_words(user_agent: str) -> str:
    """Return the browser of a user agent: ``Firefox 133 on Linux``; an unknown one as it names itself."""
    browser = next(
        (f"{name} {found[1]}" for form, name in _BROWSERS if (found := form.search(user_agent))), ""
    )
    system = next((name for form, name in _SYSTEMS if form.search(user_agent)), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    return user_agent[:_SHORT] or "unknown browser"


def session_words(session: UserSession) -> str:
    """Return where a session is: ``Firefox 133 on Linux, 10.4.7.21``."""
    browser = browser_words(session.user_agent)
    return f"{browser}, {session.ip}" if session.ip else browser
