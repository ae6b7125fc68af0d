# SPDX-License-Identifier: GPL-3.0-only
"""The field guide of the manuals as a piece of HTML, which the page loads when it is opened.

What is understood is what that chapter needs: paragraphs, lists in two levels, a table, and in a
line bold, emphasis and code. A paragraph with a link is left out: it leads out of the page.
"""

import html
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = (("en", "README.md", "Field guide"), ("fr", "README.fr.md", "Guide de terrain"))
INLINE = (("\\*\\*(.+?)\\*\\*", "b"), ("\\*(.+?)\\*", "i"), ("`(.+?)`", "code"))


def page():
    """The chapter in both languages, each in an element that says which it is."""
    parts = []
    for language, name, title in CHAPTERS:
        text = (ROOT / name).read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
        parts.append(f'<div lang="{language}">{chapter(text)}</div>')
    return "".join(parts)


def chapter(text):
    """HTML of a chapter in Markdown, without its heading."""
    text = re.sub("<!--.*?-->\n", "", text)
    return "".join(block(part) for part in re.split("\n\n+", text.strip()) if "](" not in part)


def block(text):
    """HTML of a table, a list or a paragraph."""
    if text.startswith("|"):
        return table(text.splitlines())
    if text.startswith("- "):
        return items(text, "")
    return f"<p>{inline(text)}</p>"


def items(text, indent):
    """HTML of a list whose items begin with `indent` and a dash; a deeper one lies in its item."""
    found = ""
    for item in re.split(f"^{indent}- ", text, flags=re.MULTILINE)[1:]:
        own, dash, deeper = item.partition(f"\n{indent}  - ")
        inner = items(f"{indent}  - {deeper}", indent + "  ") if dash else ""
        found += f"<li>{inline(own)}{inner}</li>"
    return f"<ul>{found}</ul>"


def table(lines):
    """HTML of a table; its second line only parts the heads from the rest."""
    rows = [[inline(cell) for cell in line.strip("| ").split("|")] for line in lines]
    heads, _, *others = rows
    body = "".join(f"<tr>{''.join(f'<td>{cell}' for cell in row)}" for row in others)
    return f"<table><tr>{''.join(f'<th>{cell}' for cell in heads)}{body}</table>"


def inline(text):
    """HTML of the text of one block."""
    text = html.escape(re.sub("[ \n]+", " ", text.strip(" \n")), quote=False)
    for pattern, tag in INLINE:
        text = re.sub(pattern, rf"<{tag}>\1</{tag}>", text)
    return text
