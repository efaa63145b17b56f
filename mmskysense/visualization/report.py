# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A page in one file: inline style, pictures inside, no request at all."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

_STYLE = """
:root{color-scheme:light dark;--text:#1c2430;--dim:#5c6878;--page:#fbfbf9;
--card:#fff;--line:#dfe3e8;--accent:#2f7ed8}
@media(prefers-color-scheme:dark){:root{--text:#e6e9ee;--dim:#9aa6b5;
--page:#12161c;--card:#1a2029;--line:#2d3643;--accent:#6caef5}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);
font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 20px 80px}
h1{font-size:2rem;line-height:1.2;margin:0 0 .4em;letter-spacing:-.02em}
h2{font-size:1.3rem;margin:2.6em 0 .5em;padding-top:.7em;
border-top:1px solid var(--line);letter-spacing:-.01em}
h3{font-size:1rem;margin:1.6em 0 .4em}
p{max-width:70ch;margin:.5em 0}
.lead{font-size:1.1rem;color:var(--dim)}
.note,figcaption,small{color:var(--dim);font-size:.88rem;line-height:1.5}
figure{margin:1em 0}
figcaption{margin-top:.4em;max-width:75ch}
img{max-width:100%;display:block;border-radius:4px}
.grid{display:grid;gap:12px;margin:1em 0}
.grid figure{margin:0}.grid img{width:100%}
.grid figcaption{font-size:.8rem;margin-top:.2em}
.c2{grid-template-columns:repeat(2,1fr)}
.c3{grid-template-columns:repeat(3,1fr)}
.c4{grid-template-columns:repeat(4,1fr)}
.split{display:grid;grid-template-columns:1fr 1fr;gap:32px;align-items:start}
.pixel img{image-rendering:pixelated}
.cards{display:flex;flex-wrap:wrap;gap:12px;margin:1.6em 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:12px 18px;flex:1 1 150px}
.card b{display:block;font-size:1.7rem;line-height:1.2;
font-variant-numeric:tabular-nums}
.card span{color:var(--dim);font-size:.85rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;
font-size:.92rem;width:100%}
th,td{text-align:right;padding:.35em .7em;border-bottom:1px solid var(--line);
white-space:nowrap}
th:first-child,td:first-child,.steps :is(th,td):nth-child(2)
{text-align:left}
th{font-weight:600;color:var(--dim)}
.swatch{display:inline-block;width:.9em;height:.9em;border-radius:2px;
margin-right:.5em;vertical-align:-.08em;border:1px solid #8886}
.legend{font-size:.85rem;display:flex;flex-wrap:wrap;gap:4px 18px;
margin:.6em 0;color:var(--dim)}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;
padding:12px 14px;overflow-x:auto;font-size:.8rem;line-height:1.5}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
svg.chart{width:100%;height:auto;font-size:13px;fill:currentColor}
svg.chart .grid{stroke:var(--line)}svg.chart .number{font-weight:600}
summary{cursor:pointer;color:var(--accent)}
@media(max-width:720px){main{padding:24px 14px 60px}h1{font-size:1.55rem}
.split{grid-template-columns:1fr;gap:8px}
.c4,.c3{grid-template-columns:repeat(2,1fr)}th,td{padding:.3em .45em}}
"""


def picture_url(picture: np.ndarray, quality: int = 82,
                lossless: bool = False) -> str:
    """Put a picture into a ``data:`` address.

    Args:
        picture: uint8 (H, W, 3) or (H, W).
        quality: Of the JPEG, 1 to 95.
        lossless: PNG: for class maps, whose colours must stay exact.

    Raises:
        ValueError: Not such an array.
    """
    from PIL import Image
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or \
            picture.shape[2:] not in ((), (3, )):
        raise ValueError(f'picture is {picture.dtype} {picture.shape}, '
                         'expected uint8 (H, W, 3) or (H, W)')
    stream = io.BytesIO()
    image = Image.fromarray(picture)
    if lossless:
        image.save(stream, 'PNG', optimize=True)
    else:
        image.save(stream, 'JPEG', quality=quality)
    kind = 'png' if lossless else 'jpeg'
    return (f'data:image/{kind};base64,'
            + base64.b64encode(stream.getvalue()).decode())


def figure(picture: np.ndarray, caption: str, lossless: bool = False) -> str:
    """A picture with a caption (plain text)."""
    return (f'<figure><img alt="{escape(caption)}" '
            f'src="{picture_url(picture, lossless=lossless)}">'
            f'<figcaption>{escape(caption)}</figcaption></figure>')


def grid(cells: Sequence[str], columns: int, pixelated: bool = False) -> str:
    """Figures in 2, 3 or 4 columns (two on a narrow screen)."""
    kind = f'grid c{columns}' + (' pixel' if pixelated else '')
    return f'<div class="{kind}">{"".join(cells)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]],
          kind: str = '') -> str:
    """A table of cells that are HTML already; ``kind`` is a CSS class."""
    line = '<tr>{}</tr>'.format
    return (f'<div class="wide"><table class="{kind}"><thead>'
            + line(''.join(f'<th>{escape(h)}</th>' for h in head))
            + '</thead><tbody>'
            + ''.join(line(''.join(f'<td>{c}</td>' for c in row))
                      for row in rows) + '</tbody></table></div>')


def legend(names: Sequence[str], palette: Sequence[Sequence[int]]) -> str:
    """Names beside their colours."""
    return '<div class="legend">' + ''.join(
        f'<span>{swatch(colour)}{escape(name)}</span>'
        for name, colour in zip(names, palette, strict=True)) + '</div>'


def swatch(colour: Sequence[int]) -> str:
    """A small square of a colour."""
    red, green, blue = (int(v) for v in colour)
    return ('<span class="swatch" '
            f'style="background:rgb({red},{green},{blue})"></span>')


@dataclass
class Page:
    """A page that grows section by section.

    Args:
        title: Of the page.
        lead: Sentence below it, plain text.
    """

    title: str
    lead: str
    parts: list[str] = field(default_factory=list)

    def section(self, title: str, *html: str) -> None:
        """Add a heading and what belongs to it."""
        self.parts.append(f'<section><h2>{escape(title)}</h2>'
                          + ''.join(html) + '</section>')

    def add(self, *html: str) -> None:
        """Add HTML without a heading."""
        self.parts.extend(html)

    def to_html(self) -> str:
        """The whole document."""
        return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
                '<meta name="viewport" '
                'content="width=device-width,initial-scale=1">'
                f'<title>{escape(self.title)}</title><style>{_STYLE}</style>'
                f'</head><body><main><h1>{escape(self.title)}</h1>'
                f'<p class="lead">{escape(self.lead)}</p>'
                + ''.join(self.parts) + '</main></body></html>\n')

    def save(self, path: str | os.PathLike) -> Path:
        """Write the document, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f'.{path.name}.{os.getpid()}.part')
        try:
            aside.write_text(self.to_html(), encoding='utf-8')
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        return path


def paragraph(text: str, kind: str = '') -> str:
    """Plain text as a paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>'
