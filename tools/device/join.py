# SPDX-License-Identifier: GPL-3.0-only
"""Joins the modules of the firmware into one, for images that have it frozen. Called by build.py.

Frozen code lies in flash; its names do not: every module keeps a dictionary of what it defines and
of what it imports. One module has one dictionary, imports nothing from itself, and its compiler
puts constants in the place of their names. What the firmware does stays the same:

- a name at the top of a module gets that of the module behind it, as in `run__web_live`;
- `from parallelator.x import a` and `x.a` become the name that `a` has now;
- a name that is given one value, made of literals and constants, becomes a constant;
- so do the names of a class that holds nothing but such values, and the class goes.

`parallelator/joined.py` holds it all; beside it lies a module for each of the old ones that hands
on what is public there, for main.py and for tests. Modules that few rigs need, and late, stay
apart, so that they take memory only then; they use the names of the joined one. Of a module that
others wrote, what the firmware does not use can be left out. What this file cannot prove to be the
same it refuses: `JoinError` says where.
"""

import ast
import contextlib
import itertools
import shutil
import types

JOINED = "parallelator.joined"
IMPORTS = (ast.Import, ast.ImportFrom)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
COMPILER = "micropython", "const"
FORGET = ast.parse("del __module__, __qualname__").body
"""What every class would keep of itself, in the dictionary of its methods."""
PURE = {f.__name__: f for f in (bytes, enumerate, len, max, min, range, sum, tuple)}
"""What may be called to make the value of a constant."""
REFUSED = ("globals", "locals", "exec", "eval", "__name__", "__file__")


class JoinError(Exception):
    """A module holds what cannot be joined."""


class Inside(str):
    """What a name means: a module that is joined."""


class Name(str):
    """What a name means: this name of the joined module."""


def bindings(nodes):
    """Every (name, node) that statements bind in their own scope, in order."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, IMPORTS):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], node
        elif isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                yield node.id, node
        elif isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            # What := binds in a comprehension belongs to the scope around it.
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    yield inner.target.id, inner
        else:
            if isinstance(node, ast.ExceptHandler) and node.name:
                yield node.name, node
            yield from bindings(ast.iter_child_nodes(node))


def suffix(module):
    """What the names of a module get behind them."""
    return "__" + module.removeprefix("parallelator.").replace(".", "_")


def written(tree):
    """The source of a tree, with `a, b = b, a` as it was: ast.unparse would put parentheses around
    the right side, for which MicroPython makes a tuple on the heap."""
    rows = {}
    for node in ast.walk(tree):
        several = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
        if several and isinstance(node.value, ast.Tuple):
            mark = f"_row_{len(rows)}_"
            rows[mark] = ", ".join(ast.unparse(value) for value in node.value.elts)
            node.value = ast.Name(id=mark, ctx=ast.Load())
    text = ast.unparse(tree)
    for mark, row in rows.items():
        text = text.replace(mark, row)
    return text


class Module:
    """One module of the firmware.

    Args:
        name: with dots; path: of its source.
        left_out: what of it not to take over: class, "" for the module, to names with blanks.

    Raises:
        JoinError: there is no such thing, or what is taken over names it.
    """

    def __init__(self, name, path, left_out):
        self.name = name
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.tree = ast.parse(path.read_text(), str(path))
        for owner, names in left_out.items():
            leave_out(self.tree, owner, names.split())
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id in left_out.get("", "").split():
                raise JoinError(f"{name}:{node.lineno}: {node.id} is left out")
        self.body = self.tree.body[:]
        self.nodes = {}
        for bound, node in bindings(self.tree.body):
            self.nodes.setdefault(bound, []).append(node)

    def base(self, node):
        """The module that an ImportFrom names, with dots."""
        if not node.level:
            return node.module
        return ".".join(filter(None, (self.package, node.module)))


class Joiner:
    """Joins modules.

    Args:
        sources: name to Path, each after those that it imports while it is imported.
        apart: names of those that are not joined; imported by functions only, and by each other.
        left_out: name of a module to what of it nothing uses, as of `Module`.
    """

    def __init__(self, sources, apart, left_out):
        modules = {name: Module(name, sources[name], left_out.get(name, {})) for name in sources}
        self.apart = {name: modules.pop(name) for name in apart}
        self.modules = modules
        self.constants = {}
        self.classes = {}
        """Joined name of a class of constants to dict of the names in it to those of constants."""
        self.imports = {}
        self.owners = {}

    def meaning(self, module, name):
        """What `name` at the top of a module is: `Inside`, `Name`, or None if it is not there."""
        nodes = module.nodes.get(name)
        if not nodes:
            return None
        if isinstance(nodes[0], IMPORTS) and nodes[0] in module.body:
            return self.imported(module, nodes[0], name)
        return self.own(module, name)

    def own(self, module, name):
        """The joined name of what a module defines; a constant's begins with _."""
        if module.name in self.apart:
            return Name(name)
        joined = Name(name + suffix(module.name))
        constant = Name("_" + joined)
        if constant in self.constants:
            joined = constant
        if self.owners.setdefault(joined, (module, name)) != (module, name):
            raise JoinError(f"{module.name}: {name} and another become {joined}")
        return joined

    def imported(self, module, node, name):
        """What an import gives `name`; notes what comes from elsewhere."""
        alias = next(a for a in node.names if (a.asname or a.name.partition(".")[0]) == name)
        if isinstance(node, ast.Import):
            if alias.name in self.modules:
                return Inside(alias.name if alias.asname else name)
            if "." in alias.name and not alias.asname:
                raise JoinError(f"{module.name}: import of {alias.name}")
            joined = Name(alias.name if name == alias.name else f"{name}{suffix(alias.name)}")
            self.imports[f"import {alias.name} as {joined}"] = joined
            return joined
        base = module.base(node)
        if f"{base}.{alias.name}" in self.modules:
            return Inside(f"{base}.{alias.name}")
        if base in self.modules:
            found = self.meaning(self.modules[base], alias.name)
            if found is None:
                raise JoinError(f"{module.name}: {base} has no {alias.name}")
            return found
        if (base, alias.name) == COMPILER:
            return Name("const")
        joined = Name(alias.name + suffix(base))
        self.imports[f"from {base} import {alias.name} as {joined}"] = joined
        return joined

    def note_constants(self, module):
        """Keep the value of each name that is given one constant value, and the classes of such;
        after the modules before it."""
        for node in module.body:
            if isinstance(node, ast.ClassDef) and not node.bases:
                self.note_class(module, node)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if len(node.targets) == 1 and module.nodes[name] == [node.targets[0]]:
                    with contextlib.suppress(ValueError):
                        value = self.value(module, node.value)
                        self.constants["_" + name + suffix(module.name)] = value

    def note_class(self, module, node):
        """Keep what is in a class when that is nothing but constants and a docstring."""
        body = [line for line in node.body if not isinstance(line, ast.Expr)]
        if not body or not all(isinstance(line, ast.Assign) for line in body):
            return
        found, names = {}, {}
        for line in body:
            name = line.targets[0].id
            names[name] = f"_{node.name}_{name}{suffix(module.name)}"
            try:
                found[names[name]] = self.value(module, line.value)
            except ValueError:
                return
        self.constants.update(found)
        self.classes[self.own(module, node.name)] = names

    def value(self, module, node):
        """The value of an expression of literals, constants and what is PURE.

        Raises:
            ValueError: it is another one.
        """
        known = {"const": lambda value: value, **PURE}
        for name in {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}:
            found = self.meaning(module, name)
            if found is not None and found != "const":
                known.pop(name, None)
                known.update(self.seen({name: found}))
        try:
            made = eval(ast.unparse(node), {"__builtins__": {}, **known})
        except (NameError, AttributeError, TypeError) as error:
            raise ValueError from error
        if not is_literal(made):
            raise ValueError
        return made

    def seen(self, meanings):
        """The values of those of `meanings`, a dict by name, that are constants; modules and
        classes have them as attributes."""
        found = {}
        for name, meaning in meanings.items():
            if meaning in self.constants:
                found[name] = self.constants[meaning]
            elif meaning in self.classes:
                found[name] = types.SimpleNamespace(**self.seen(self.classes[meaning]))
            elif isinstance(meaning, Inside):
                inside = self.modules[meaning]
                own = {n: self.own(inside, n) for n in inside.nodes}
                found[name] = types.SimpleNamespace(**self.seen(own))
        return found

    def join(self):
        """Name to text of the joined module, and of those that stay apart."""
        for module in self.modules.values():
            self.note_constants(module)
        texts = {JOINED: self.text(self.modules.values())}
        for name, module in self.apart.items():
            if f"from {name} " in texts[JOINED].partition("#")[0]:
                raise JoinError(f"{name} is imported by more than a function")
            texts[name] = self.text([module])
        for text in texts.values():
            self.check(text)
        return texts

    def text(self, modules):
        """The text of one module that holds `modules`."""
        parts = []
        for module in modules:
            tree = Renamer(self, module).visit(module.tree)
            parts.append(f"# {module.name}\n" + written(ast.fix_missing_locations(tree)))
        tree = ast.parse("\n".join(parts))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        lines = sorted(line for line, name in self.imports.items() if name in used)
        for name in sorted(used & self.owners.keys() - self.constants.keys()):
            if self.owners[name][0] not in modules:
                lines.append(f"from {JOINED} import {name}")
        for name, value in self.constants.items():
            if name in used:
                lines.append(f"{name} = const({value!r})")
        return "\n".join(lines + parts) + "\n"

    def check(self, text):
        """See that each joined name is bound, and at the top only.

        Raises:
            JoinError: one is not.
        """
        tree = ast.parse(text)
        top = {name for name, _ in bindings(tree.body)}
        for node in ast.walk(tree):
            inner = set()
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                first = (node.value.elts or [node.value])[0]
                bracket = node.value.col_offset != first.col_offset
                if isinstance(node.targets[0], ast.Tuple) and bracket:
                    raise JoinError(f"line {node.lineno}: a tuple is made of the values")
            if isinstance(node, ast.Name) and "__" in node.id.strip("_") and node.id not in top:
                raise JoinError(f"{node.id} is bound nowhere")
            if isinstance(node, FUNCTIONS):
                inner = set(parameters(node))
                inner.update(name for name, _ in bindings(statements(node)))
            elif isinstance(node, ast.ClassDef):
                inner = {name for name, _ in bindings(node.body)}
            if hidden := {name for name in inner & top if "__" in name}:
                raise JoinError(f"{hidden} is hidden from line {node.lineno} on")

    def stub(self, module):
        """The text of the module that hands on what is public in this one."""
        names, constants = [], []
        for name, nodes in module.nodes.items():
            found = None if name.startswith("_") else self.meaning(module, name)
            if isinstance(nodes[0], IMPORTS) and module.package != module.name:
                continue
            if found in self.classes:
                inside = self.classes[found].items()
                values = [f"    {one} = {self.constants[joined]!r}" for one, joined in inside]
                constants += [f"class {name}:", *values]
            elif found in self.constants:
                constants.append(f"{name} = {self.constants[found]!r}")
            elif isinstance(found, Name):
                names.append(f"    {found} as {name},")
        lines = [f"from {JOINED} import (", *names, ")"] if names else []
        return "\n".join(lines + constants) + "\n"


class Renamer(ast.NodeTransformer):
    """Gives the names of one module those that they have in the joined one.

    Args:
        joiner: whose `meaning` to ask; module: to visit the tree of.
    """

    def __init__(self, joiner, module):
        self.joiner = joiner
        self.module = module
        self.scopes = []
        """From the outermost in, (dict of name to meaning, None = its own; True for a class)."""

    def refuse(self, node, why):
        raise JoinError(f"{self.module.name}:{node.lineno}: {why}")

    def meaning(self, name):
        """`Inside`, `Name`, or None for what stays as it is."""
        for k, (names, is_class) in enumerate(reversed(self.scopes)):
            if name in names and (k == 0 or not is_class):
                return names[name]
        return self.joiner.meaning(self.module, name)

    def is_inside(self, node):
        """True for an import of modules that are joined."""
        if isinstance(node, ast.ImportFrom):
            base = self.module.base(node)
            apart = any(f"{base}.{alias.name}" in self.joiner.apart for alias in node.names)
            return base in self.joiner.modules and not apart
        return all(alias.name in self.joiner.modules for alias in node.names)

    def visit_Module(self, node):
        node.body = [n for n in map(self.top, node.body) if n is not None]
        return node

    def top(self, node):
        """A statement at the top of the module; None for what is not needed."""
        if (
            isinstance(node, IMPORTS)
            or isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
        ):
            for name, _ in bindings([node]):
                self.joiner.meaning(self.module, name)
            return None
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = self.joiner.own(self.module, node.targets[0].id)
            if name in self.joiner.constants:
                return None
        if isinstance(node, ast.ClassDef):
            if self.joiner.own(self.module, node.name) in self.joiner.classes:
                return None
        return self.visit(node)

    def visit_Import(self, node):
        if self.scopes:
            if self.is_inside(node):
                return ast.Pass()
            if isinstance(node, ast.ImportFrom):
                node.module, node.level = self.module.base(node), 0
            return node
        for alias in node.names:
            alias.asname = self.joiner.own(self.module, alias.asname or alias.name)
        return node

    visit_ImportFrom = visit_Import

    def visit_Global(self, node):
        self.refuse(node, "global")

    def visit_Name(self, node):
        found = self.meaning(node.id)
        if isinstance(found, Inside):
            self.refuse(node, f"module {node.id} as a value")
        if found in self.joiner.classes:
            self.refuse(node, f"class of constants {node.id} as a value")
        if found is not None:
            node.id = str(found)
        elif node.id in REFUSED:
            self.refuse(node, node.id)
        return node

    def named(self, node):
        """What `meaning` says of a name, alone or behind that of its module; None for others."""
        if isinstance(node, ast.Name):
            return self.meaning(node.id)
        inside = self.named(node.value) if isinstance(node, ast.Attribute) else None
        if isinstance(inside, Inside):
            return self.joiner.meaning(self.joiner.modules[inside], node.attr)
        return None

    def visit_Attribute(self, node):
        owner = self.named(node.value)
        if owner in self.joiner.classes:
            found = self.joiner.classes[owner].get(node.attr)
        elif isinstance(owner, Inside):
            found = self.named(node)
        else:
            return self.generic_visit(node)
        unnamed = found is None or isinstance(found, Inside) or found in self.joiner.classes
        if unnamed or not isinstance(node.ctx, ast.Load):
            self.refuse(node, ast.unparse(node))
        return ast.copy_location(ast.Name(id=str(found), ctx=node.ctx), node)

    def scope(self, nodes):
        """The scope that these statements make: what each name means, see `scopes`."""
        names = {}
        for name, node in bindings(nodes):
            inside = isinstance(node, IMPORTS) and self.is_inside(node)
            names[name] = self.joiner.imported(self.module, node, name) if inside else None
        return names

    def function(self, node):
        """A function or lambda."""
        arguments = node.args
        # What stands before the body belongs to the scope around it.
        if not isinstance(node, ast.Lambda):
            node.decorator_list = [self.visit(n) for n in node.decorator_list]
        arguments.defaults = [self.visit(n) for n in arguments.defaults]
        arguments.kw_defaults = [n and self.visit(n) for n in arguments.kw_defaults]
        body = statements(node)
        names = self.scope(body) | dict.fromkeys(parameters(node))
        for name in nonlocals(body):
            names.pop(name, None)
        outer = self.scopes
        self.scopes = [scope for scope in outer if not scope[1]] + [(names, False)]
        body = [self.visit(n) for n in body]
        self.scopes = outer
        node.body = body if isinstance(node.body, list) else body[0]
        return node

    def visit_FunctionDef(self, node):
        node = self.function(node)
        if not self.scopes:
            node.name = str(self.joiner.own(self.module, node.name))
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    visit_Lambda = function

    def visit_ClassDef(self, node):
        node.bases = [self.visit(n) for n in node.bases]
        node.decorator_list = [self.visit(n) for n in node.decorator_list]
        outer = self.scopes
        self.scopes = [*outer, (self.scope(node.body), True)]
        node.body = [*FORGET, *(self.visit(n) for n in node.body)]
        self.scopes = outer
        if not self.scopes:
            node.name = str(self.joiner.own(self.module, node.name))
        return node

    def comprehension(self, node):
        """A comprehension: its first iterable belongs to the scope around it."""
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        done, first.iter = first.iter, ast.Constant(None)
        names = {name: None for g in node.generators for name, _ in bindings([g.target])}
        outer = self.scopes
        self.scopes = [scope for scope in outer if not scope[1]] + [(names, False)]
        node = self.generic_visit(node)
        self.scopes = outer
        first.iter = done
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension


def leave_out(tree, owner, names):
    """Take definitions, assignments and imports out of the tree of a module.

    Args:
        owner: name of the class that they are in, "" for the module; names: theirs.

    Raises:
        JoinError: they are not all there.
    """
    inside = (node.body for node in (tree, *tree.body) if getattr(node, "name", "") == owner)
    body = next(inside, [])
    missing = set(names)
    for node in body[:]:
        bound = {getattr(node, "name", None), *map(ast.unparse, getattr(node, "targets", ()))}
        if isinstance(node, ast.ImportFrom):
            bound = {alias.name for alias in node.names}
            node.names = [alias for alias in node.names if alias.name not in names]
        elif not bound.isdisjoint(names):
            body.remove(node)
        missing -= bound
    if missing:
        raise JoinError(f"no {sorted(missing)} to leave out of {owner or 'the module'}")


def is_literal(value):
    """True for what MicroPython keeps in flash when it is frozen; floats are left as they are."""
    if isinstance(value, tuple):
        return all(map(is_literal, value))
    return value is None or isinstance(value, (int, str, bytes))


def statements(function):
    """The body of a function or lambda, a list."""
    return function.body if isinstance(function.body, list) else [function.body]


def parameters(function):
    """The names of its parameters."""
    return [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def nonlocals(nodes):
    """The names that statements declare nonlocal."""
    found = [n.names for node in nodes for n in ast.walk(node) if isinstance(n, ast.Nonlocal)]
    return set(itertools.chain(*found))


def write(sources, folder, apart=(), left_out=None):
    """Join modules into `folder`, made anew.

    Args:
        sources, apart, left_out: as of `Joiner`.

    Raises:
        JoinError: they cannot be joined.
    """
    joiner = Joiner(sources, apart, left_out or {})
    texts = joiner.join()
    packages = set()
    for name, module in joiner.modules.items():
        texts[name] = joiner.stub(module)
        if module.package == name:
            packages.add(name)
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in texts.items():
        path = folder / name.replace(".", "/")
        path = path / "__init__.py" if name in packages else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
