"""The two manuals as what the tests look at: code, prose, links, headings."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("README.md", "README.fr.md")
LANGUAGES = {"README.md": "en", "README.fr.md": "fr"}


class Text:
    """One manual.

    Attributes:
        blocks: its code blocks, each the text without its indentation or fence.
        prose: the lines that are no code and no comment.
    """

    def __init__(self, text):
        self.blocks = []
        self.prose = []
        block, fence, before = None, False, ""
        for line in text.splitlines():
            if line.startswith("```"):
                fence = not fence
                if fence:
                    block = []
                else:
                    self._keep(block)
                    block = None
            elif fence:
                block.append(line)
            elif block is not None and (line.startswith("    ") or not line):
                block.append(line[4:])
            elif line.startswith("    ") and not before:
                block = [line[4:]]
            else:
                self._keep(block)
                block = None
                if not line.startswith("<!--"):
                    self.prose.append(line)
            before = line
        self._keep(block)

    def _keep(self, block):
        if block is not None:
            self.blocks.append("\n".join(block).strip())

    @property
    def headings(self):
        """(level, title) of every heading."""
        found = (re.match(r"(#+) (.+)", line) for line in self.prose)
        return [(len(match[1]), match[2]) for match in found if match]

    def sections(self):
        """The prose in pieces, from one heading to the next."""
        pieces = [[]]
        for line in self.prose:
            if re.match("#+ ", line):
                pieces.append([])
            pieces[-1].append(line)
        return ["\n".join(piece) for piece in pieces]

    @property
    def links(self):
        """Where links and pictures lead."""
        return re.findall(r"\]\(([^)]+)\)", "\n".join(self.prose))

    @property
    def spans(self):
        """What stands between backquotes."""
        return re.findall(r"`([^`\n]+)`", "\n".join(self.prose))

    @property
    def commands(self):
        """The commands of the code blocks, without comments, those over two lines as one."""
        lines = "\n".join(self.blocks).replace("\\\n", " ").splitlines()
        starts = ("make ", "build/", "curl ", "git ", "cd ")
        return [bare(line) for line in lines if line.startswith(starts)]

    def anchors(self):
        """What a `#` in a link may lead to, as GitHub makes it."""
        return [
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in self.headings
        ]


def bare(line):
    """A line of code without its comment and with single spaces."""
    return " ".join(re.sub(r"(^|\s)#.*", "", line).split())


def manual(name):
    """The manual of that name."""
    return Text((ROOT / name).read_text())
