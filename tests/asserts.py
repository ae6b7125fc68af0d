# SPDX-License-Identifier: GPL-3.0-only
"""Copies of tests for MicroPython whose asserts tell what was found; tests/run.py makes them.

`assert a == b` becomes `assert _compared(a, '==', b), _found()`: unit/micropython_runner.py has
both functions. Operands are evaluated once and in their order, and every line stays where it was.
Comparisons, `not`, and what `and` joins of these are told; any other assert stays as it is.
"""

import ast

_SYMBOLS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


class _Source:
    """The text of a Python file, to be changed in places.

    Attributes:
        tree: the syntax tree of the text.
    """

    def __init__(self, text):
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.tree = ast.parse(text)

    def _span(self, node):
        begin = self._starts[node.lineno - 1] + node.col_offset
        return begin, self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node):
        """The source of a node."""
        begin, end = self._span(node)
        return self._bytes[begin:end].decode()

    def replaced(self, texts):
        """The whole source with other texts for some nodes: pairs (node, text)."""
        changed = self._bytes
        for (begin, end), text in sorted(((self._span(node), text) for node, text in texts))[::-1]:
            changed = changed[:begin] + text.encode() + changed[end:]
        return changed.decode()


def _telling(source, test):
    """The source of the condition `test` that remembers what it compared, None if it cannot."""
    if isinstance(test, ast.Compare):
        rest = (
            f"{_SYMBOLS[type(op)]!r}, {source.text(operand)}"
            for op, operand in zip(test.ops, test.comparators, strict=True)
        )
        return f"_compared({source.text(test.left)}, {', '.join(rest)})"
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return f"_compared({source.text(test.operand)}, 'not', None)"
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        parts = [(_telling(source, part), source.text(part)) for part in test.values]
        if any(telling for telling, _ in parts):
            return " and ".join(telling or f"({text})" for telling, text in parts)
    return None


def _asserts(source):
    """Pairs (node, text) of the asserts of `source` that can tell what was found."""
    for node in ast.walk(source.tree):
        condition = isinstance(node, ast.Assert) and _telling(source, node.test)
        if condition:
            said = source.text(node.msg) if node.msg else ""
            text = f"assert {condition}, _found({said}"
            lines = source.text(node).count("\n") - text.count("\n")
            yield node, text + "\n" * lines + ")"


def rewritten(text, path):
    """The source `text` of the file `path` with asserts that tell, for a copy somewhere else.

    What does not parse stays as it is: MicroPython says what is wrong with it.
    """
    try:
        source = _Source(text)
    except SyntaxError:
        return text
    names = [n for n in ast.walk(source.tree) if isinstance(n, ast.Name) and n.id == "__file__"]
    source = _Source(source.replaced((name, repr(str(path))) for name in names))
    return source.replaced(_asserts(source))


def copy(folder, into):
    """Write the rewritten Python files of `folder` to the folder of that path below `into`."""
    copies = into / folder.relative_to(folder.anchor)
    copies.mkdir(parents=True)
    for path in folder.glob("*.py"):
        (copies / path.name).write_text(rewritten(path.read_text(), path))
