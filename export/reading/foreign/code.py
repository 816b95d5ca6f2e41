"""The text of TorchScript, read as what it is: a small subset of Python's syntax, of which nothing is run.

What it calls is in the list of operators, or is in the archive itself, where it is read as well. What it
repeats is counted beforehand: `while` is refused, but for the one form in which TorchScript writes a loop
over a list that may end early, and a `range` must be of few or of the length of something.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping

from colvi_edge.printable import printable_name

from .counting import Counting
from .operators import OPERATORS, PRIMITIVES

_MOST_CHARACTERS = 2**23
_DEEPEST = 100
"""Brackets within brackets; the printer of TorchScript begins a new line long before."""

_FORMS = "annotate unchecked_cast uninitialized isinstance getattr range int float bool str"
_KNOWN = """
    Tensor Optional List Tuple Dict Union int float bool str number NoneType Final Device Any complex inf nan
    __annotations__ __parameters__ __buffers__
"""
_SPECIAL, _TYPES = frozenset(_FORMS.split()), frozenset(_KNOWN.split())
_ROOTS = frozenset(["torch", "ops", "__torch__", "CONSTANTS"])
_BASES = ("Module", "NamedTuple")

_SYNTAX = (
    *(
        ast.Module,
        ast.ClassDef,
        ast.FunctionDef,
        ast.arguments,
        ast.arg,
        ast.Return,
        ast.Assign,
        ast.AnnAssign,
    ),
    *(ast.For, ast.While, ast.If, ast.Pass, ast.Expr, ast.Call, ast.keyword, ast.Attribute, ast.Name),
    *(ast.Subscript, ast.Slice, ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.USub, ast.Not),
    *(ast.Load, ast.Store),
)


def refuse_foreign_code(texts: Mapping[str, str], is_operator: Callable[[str], bool]) -> None:
    """Raise ValueError, which names what was found, if a text calls what is not in the lists.

    Args:
        texts: of every file of code in the archive.
        is_operator: whether torch has an operator of this name in `aten`: any value takes them as methods.
    """
    if sum(map(len, texts.values())) > _MOST_CHARACTERS:
        raise ValueError(f"more than {_MOST_CHARACTERS} characters of code")
    try:
        trees = [_parsed(text) for text in texts.values()]
        counting = Counting(trees)
        for tree in trees:
            _Reader(counting, is_operator).visit(tree)
    except RecursionError as error:
        raise ValueError("code that is nested too deeply") from error


def _parsed(text: str) -> ast.Module:
    depth = 0
    for bracket in re.finditer(r"[][(){}]", text):
        depth += 1 if bracket[0] in "([{" else -1
        if depth > _DEEPEST:
            raise ValueError(f"code with brackets {_DEEPEST} deep")
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError) as error:
        raise ValueError(f"code that is not TorchScript's ({printable_name(str(error))[:200]})") from error


class _Reader(ast.NodeVisitor):
    """Walks every expression of a text."""

    def __init__(self, counting: Counting, is_operator: Callable[[str], bool]) -> None:
        self._counting = counting
        self._is_operator = is_operator
        self._local: set[str] = set()

    def generic_visit(self, node: ast.AST) -> None:
        if not isinstance(node, _SYNTAX):
            raise ValueError(f"code with {type(node).__name__}, which TorchScript does not write")
        super().generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [base.id if isinstance(base, ast.Name) else "" for base in node.bases]
        if len(bases) != 1 or bases[0] not in _BASES or node.keywords or node.decorator_list:
            raise ValueError(f"a class of another kind than {' or '.join(_BASES)}")
        self._local = {
            name for part in node.body if not isinstance(part, ast.FunctionDef) for name in _set(part)
        }
        for part in node.body:
            self.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.decorator_list or node.args.vararg or node.args.kwarg:
            raise ValueError("a function with decorators or any number of arguments")
        if any(
            isinstance(part, (ast.FunctionDef, ast.ClassDef)) for line in node.body for part in ast.walk(line)
        ):
            raise ValueError("a function within a function")
        outside, self._local = self._local, {arg.arg for arg in node.args.args} | {*_set(node)}
        if taken := self._local & (_ROOTS | _SPECIAL):
            raise ValueError(f"a variable named {min(taken)}")
        super().generic_visit(node)
        self._local = outside

    def visit_For(self, node: ast.For) -> None:
        self._counting.refuse_long_for(node)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._counting.refuse_endless_while(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if not isinstance(function, (ast.Name, ast.Attribute)):
            raise ValueError("a call of what has no name")
        if isinstance(function, ast.Name) and function.id in _SPECIAL - self._local:
            if function.id == "getattr" and not _is_written_out(node):
                raise ValueError("a getattr whose name is not written out")
        else:
            self._counting.refuse_unknown(node)
            self._refuse_method(function)
            self.visit(function)
        for argument in (*node.args, *node.keywords):
            self.visit(argument)

    def _refuse_method(self, function: ast.expr) -> None:
        """Refuse an operator called as a method, on whatever value: "a".from_file() is aten::from_file."""
        words = _words(function)
        if isinstance(function, ast.Attribute) and not (words and words[0] in _ROOTS):
            name = function.attr
            if name not in OPERATORS and self._is_operator(name):
                raise ValueError(f"the operator aten::{name[:200]}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in _ROOTS or node.id not in self._local | _TYPES | {*_BASES, "op_version_set"}:
            raise ValueError(f"the name {printable_name(node.id)[:100]}")

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, (str, int, float, type(None))):
            raise ValueError(f"a constant of {type(node.value).__name__}")
        if isinstance(node.value, str) and not node.value.replace("\n", "").isprintable():
            raise ValueError("text with control characters")  # torch.warn would send it to a terminal

    def visit_Attribute(self, node: ast.Attribute) -> None:
        words = _words(node)
        if not words or words[0] not in _ROOTS:
            self.visit(node.value)  # what is read off a value can be called as its method only
            return
        root, *rest = words
        if root == "__torch__":
            if rest[:2] == ["torch", "classes"]:
                raise ValueError(f"a class of C++, {'.'.join(rest)[:200]}")
        elif root == "CONSTANTS":
            if len(rest) != 1 or not re.fullmatch(r"c\d+", rest[0]):
                raise ValueError(f"the constant {'.'.join(rest)[:200]}")
        else:
            _refuse_operator(*(["aten", *rest] if root == "torch" else rest))


def _refuse_operator(*words: str) -> None:
    known = {"aten": OPERATORS, "prim": PRIMITIVES}.get(words[0] if words else "", frozenset[str]())
    if len(words) != 2 or words[1] not in known:
        raise ValueError(f"the operator {printable_name('::'.join(words))[:200]}")


def _words(node: ast.expr) -> list[str]:
    """Return the names of a chain such as ops.prim.device; none for the attribute of any other value."""
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.append(node.attr)
        node = node.value
    return [*words, node.id][::-1] if isinstance(node, ast.Name) else []


def _is_written_out(call: ast.Call) -> bool:
    return (
        len(call.args) == 2 and isinstance(call.args[1], ast.Constant) and isinstance(call.args[1].value, str)
    )


def _set(node: ast.AST) -> Iterator[str]:
    """Yield every name that is assigned in a node."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
