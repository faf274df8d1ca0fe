"""Check the links of the built site: ``python docs/links.py docs/_build/html``.

Every link, picture, script and style sheet within the site must be there, with the anchor that is
asked for. Sphinx warns of references that it makes itself, not of what templates, raw HTML and
notebooks name. Links to other sites need a network: ``make links`` asks for them.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_NOWHERE = "#"  # what a button is given that a script serves


class _Page(HTMLParser):
    """Anchors of a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)
            elif name == "srcset" and value:
                self.links += [part.split()[0] for part in value.split(",")]


def broken_links(site: Path) -> list[str]:
    """Return a line for each link of a site that leads nowhere."""
    site = site.resolve()
    # What the theme copies into _static are templates, not pages.
    pages = {p: _Page(p) for p in sorted(site.rglob("*.html")) if "_static" not in p.parts}
    found = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == _NOWHERE:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{path.relative_to(site)}: {link}: there is no such file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append(f"{path.relative_to(site)}: {link}: there is no such anchor")
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if not (folder / "index.html").is_file():
        sys.exit(f"{folder}: there is no site")
    broken = broken_links(folder)
    print(*broken, sep="\n", end="\n" if broken else "")
    sys.exit(1 if broken else 0)
