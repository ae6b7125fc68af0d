# SPDX-License-Identifier: GPL-3.0-only
"""The documents of the repository as their readers see them: for the tests of what they say."""

import re
from urllib.parse import unquote

from markdown_it import MarkdownIt

from manual.run import ROOT, documents

_PARSER = MarkdownIt("commonmark").enable("table")
_COMMENT = re.compile(r"(^|\s)# .*")


class Document:
    """One document.

    Attributes:
        path: of its file; name: the path from the root folder on.
        blocks: (language, text) of every code block; one without a language is `sh`.
        headings: (level, title) of every heading.
        sections: the prose from one heading to the next, tables and code in the line included.
        spans: what stands in the line as code.
        links: where links and pictures lead.
        tables: number of columns and rows of every table.
        html: every tag, comments left out.
    """

    def __init__(self, path):
        self.path, self.name = path, path.relative_to(ROOT).as_posix()
        self.blocks, self.headings, self.sections = [], [], [""]
        self.spans, self.links, self.tables, self.html = [], [], [], []
        for token in _PARSER.parse(path.read_text()):
            if token.type in ("fence", "code_block"):
                self.blocks.append((token.info or "sh", token.content))
            elif token.type == "heading_open":
                self.headings.append((int(token.tag[1]), None))
                self.sections.append("")
            elif token.type == "table_open":
                self.tables.append([0, 0])
            elif token.type in ("th_open", "tr_open"):
                self.tables[-1][token.type == "tr_open"] += 1
            elif token.type == "html_block":
                self._read_html(token.content)
            elif token.type == "inline":
                self._read(token)

    def _read(self, token):
        if self.headings and self.headings[-1][1] is None:
            self.headings[-1] = (self.headings[-1][0], token.content)
        self.sections[-1] += token.content + "\n"
        for part in token.children:
            if part.type == "code_inline":
                self.spans.append(part.content)
            elif part.type == "html_inline":
                self._read_html(part.content)
            elif part.type in ("link_open", "image"):
                self.links.append(unquote(part.attrs.get("href") or part.attrs["src"]))

    def _read_html(self, text):
        self.html += re.findall(r"<(\w+)", text)
        self.links += re.findall(r'src="([^"]+)"', text)

    @property
    def commands(self):
        """The lines of the shell blocks, without comments, those over two lines as one."""
        shell = "".join(text for language, text in self.blocks if language == "sh")
        lines = (_COMMENT.sub("", line) for line in shell.replace("\\\n", " ").splitlines())
        return [" ".join(line.split()) for line in lines if line.strip()]

    def anchors(self):
        """What a `#` in a link may lead to, as GitHub makes it."""
        return [
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in self.headings
        ]


ALL = {document.name: document for document in map(Document, documents())}
"""Every document by its name."""

TWINS = {name.replace(".fr.md", ".md"): name for name in ALL if name.endswith(".fr.md")}
"""Document to its French twin."""
