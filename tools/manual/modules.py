"""What each module of the firmware is for, from its first lines. Called by run.py."""

import ast
from pathlib import Path

from manual.tables import code, table

PACKAGE = Path(__file__).resolve().parents[2] / "lib/parallelator"


def listed(heads):
    """A Markdown table of every module and the first sentence of its docstring."""
    rows = []
    for path in sorted(PACKAGE.rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text()))
        if said:
            first = " ".join(said.split("\n\n")[0].split())
            rows.append([code(path.relative_to(PACKAGE).as_posix()), first])
    return table(heads, rows)
