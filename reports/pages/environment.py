"""The template engine of every page, and what each page carries in its head: one style sheet, one script, one policy.

A page extends `pages/base.html.j2`, whose blocks are `title`, `nav`, `main` and `foot`. Style sheet and script stand in
the page itself, and its policy names both by their hash: nothing else that looks like either acts, whatever name, text
or reason gets into a page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reports.figures.svg import svg
from reports.model.section import SectionKind

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_REPORTS = Path(__file__).parent.parent
_OPTION = re.compile("--[a-z][a-z-]*")


@cache
def environment(sections: tuple[SectionKind, ...] = ()) -> Environment:
    """Templates stand beside the code whose data they show: a section's go by its name, others by their folder."""
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=ChoiceLoader(
            [
                PrefixLoader({kind.name: FileSystemLoader(kind.folder) for kind in sections}),
                PrefixLoader({name: FileSystemLoader(_REPORTS / name) for name in ("model", "pages")}),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = f"{_kept('style.css')}{_kept('site.css')}", _kept("page.js")
    # Marked as safe: files of ours, and what the XML writer has escaped.
    made.globals["style"] = Markup(style)  # noqa: S704
    made.globals["script"] = Markup(script)  # noqa: S704
    made.globals["policy"] = policy([style], [script])
    made.globals["svg"] = lambda figure, name: Markup(svg(figure, name))  # noqa: S704
    made.filters["options_whole"] = options_whole
    return made


def options_whole(text: str) -> Markup:
    """A text in which no line ends within an option, such as `--budget`: nobody could read or copy it so."""
    from markupsafe import Markup, escape

    return Markup(_OPTION.sub(r'<span class="option">\g<0></span>', str(escape(text))))  # noqa: S704  # escaped


def policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A content security policy: these style sheets and scripts, pictures that are data, and nothing from elsewhere.

    Attributes may style: drawings place their marks so, and no name gets into one.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src-elem {_hashes(styles)}",
            "style-src-attr 'unsafe-inline'",
            f"script-src {_hashes(scripts)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hashes(texts: Sequence[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"


def _kept(name: str) -> str:
    return (_REPORTS / "pages" / name).read_text(encoding="utf-8")
