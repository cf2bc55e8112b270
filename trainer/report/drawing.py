"""Plots as SVG that stands inside the page: matplotlib draws, the reader's browser chooses colours and fonts.

Every colour drawn with is a stand-in that becomes a CSS variable of the page, so that a plot follows dark mode and
print; text stays text, in the page's font, which has the labels' characters where matplotlib's has not.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

# Okabe and Ito's order of hues, which colour-blind readers tell apart; the page's style sheet gives the shades.
SERIES = tuple(f"#f0a00{number}" for number in range(1, 9))
INK, MUTED, GRID, PAPER = "#f0b001", "#f0b002", "#f0b003", "#f0b004"
VARIABLES = {colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)} | {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
}
MARKERS = "os^DvPX<>p"
# What these look like in a legend that is HTML.
MARKER_SIGNS = dict(zip(MARKERS, "●■▲◆▼✚✖◀▶⬟", strict=True))

FONT_SIZE = 9.0
POINTS_PER_INCH = 72.0
LABEL_COLUMNS = 18
STYLE: dict[Any, Any] = {  # matplotlib names every key in a type of its own
    "svg.fonttype": "none",
    "text.parse_math": False,  # a label with two dollar signs is no formula
    "font.size": FONT_SIZE,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlesize": FONT_SIZE,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
# A matplotlib `gid` that begins so becomes a class of the page's style sheet.
CLASS = "class-"
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def drawn(name: str, says: str, size_inches: tuple[float, float], draw: Callable[[Figure], None]) -> Markup:
    """What `draw` puts on a figure, as an <svg> element; `says` tells it to those who cannot see it.

    `name` is unlike that of any other plot of the page: ids inside the drawing are hashed with it.
    """
    buffer = io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's fonts draw it
        figure = Figure(figsize=size_inches)
        draw(figure)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _for_the_page(buffer.getvalue(), says)


def label_shown(label: str) -> str:
    """A label as a plot shows it: no control characters, which XML cannot hold, and no longer than fits beside it."""
    clean = "".join(character if character.isprintable() else "·" for character in label)
    if columns_of(clean) <= LABEL_COLUMNS:
        return clean
    cut = clean
    while columns_of(cut) >= LABEL_COLUMNS:
        cut = cut[:-1]
    return cut + "…"


def columns_of(text: str) -> int:
    """How wide a text is, in Latin letters: East Asian characters are as wide as two.

    >>> columns_of("股票 a")
    6
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def label_room_inches(labels: tuple[str, ...]) -> float:
    """The margin that labels beside an axis need; matplotlib cannot measure what its font has no glyphs for."""
    widest = max((columns_of(label_shown(label)) for label in labels), default=0)
    return (widest * 0.56 * FONT_SIZE + 10) / POINTS_PER_INCH


def _for_the_page(content: bytes, says: str) -> Markup:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(content)  # noqa: S314  # drawn a moment ago, by us
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', content.decode()))
    for element in root.iter():
        if (identity := element.get("id")) is not None:
            del element.attrib["id"]
            if identity.startswith(CLASS):
                element.set("class", identity.removeprefix(CLASS))
            elif identity in used:
                element.set("id", identity)
        if (drawn_so := element.get("style")) is not None:
            element.set("style", _for_the_reader(drawn_so))
        for style in element.findall(f"{{{SVG}}}style"):
            element.remove(style)  # would hold for the whole page
    width = float(root.attrib.pop("width").removesuffix("pt")) / POINTS_PER_INCH * 96  # of CSS's pixels
    root.attrib.pop("height")
    root.set("style", f"max-width: {width * 1.25:.0f}px; --drawn-width: {width:.0f}px")
    root.set("role", "img")
    root.set("aria-label", says)
    # Every text in it went through XML's own escaping.
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704


def _for_the_reader(style: str) -> str:
    """A style with the page's colours and font."""
    for colour, variable in VARIABLES.items():
        style = style.replace(colour, variable)
    return re.sub(r"font-family: [^;]*(; |$)", "", style)
