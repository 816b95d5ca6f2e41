"""How often a loop of TorchScript goes round: told from its text, or the loop is refused.

A count is a small number, the length or the number of dimensions of something, or a sum of such. Where it
is an argument of a function, every call in the archive must give one.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

MOST_ROUNDS = 1000
_MOST_STEPS = 100_000
"""Of counting, in all loops; a U-Net with two kinds of resizing takes 29."""

_LENGTHS = frozenset(["len", "dim"])
_SUMS = frozenset(["add", "sub", "neg", "floordiv", "__range_length", "min", "max"])


Assignments = list[tuple[str, ast.expr | None]]
"""Names that are set, each with its value; None where that is not written there."""


class Counting:
    """Knows every function of an archive, and every call of each."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        """Read the functions; `trees` are of all code."""
        self._scope: dict[ast.AST, _Scope] = {}
        self._calls: dict[str, list[tuple[ast.Call, _Scope]]] = defaultdict(list)
        self._steps_left = _MOST_STEPS
        for tree in trees:
            self._read(tree.body, in_class=False)
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    self._read(node.body, in_class=True)

    def _read(self, body: Iterable[ast.stmt], *, in_class: bool) -> None:
        for function in body:
            if isinstance(function, ast.FunctionDef):
                scope = _Scope(function, in_class=in_class)
                for node in ast.walk(function):
                    self._scope[node] = scope
                    if isinstance(node, ast.Call):
                        for name in scope.called(node):
                            self._calls[name].append((node, scope))

    def refuse_unknown(self, call: ast.Call) -> None:
        """Raise ValueError if a name is called that is not, throughout, a function of the archive."""
        scope = self._scope.get(call)
        if isinstance(call.func, ast.Name):
            values = scope.values.get(call.func.id, []) if scope else []
            if not values or not all(_is_of_archive(value) for value in values):
                raise ValueError(f"a call of {call.func.id[:100]}, which is no function of the file")

    def refuse_long_for(self, loop: ast.For) -> None:
        """Raise ValueError if the rounds of a `for` cannot be counted, or are too many."""
        each, scope = loop.iter, self._scope.get(loop)
        if (
            scope is None
            or loop.orelse
            or not isinstance(each, ast.Call)
            or ast.unparse(each.func) != "range"
        ):
            raise ValueError("a loop over something else than a range")
        if len(each.args) != 1 or not self._is_count(each.args[0], scope):
            raise ValueError(f"a loop whose rounds cannot be counted, or more than {MOST_ROUNDS}")

    def refuse_endless_while(self, loop: ast.While) -> None:
        """Raise ValueError if a `while` is not the counted loop that a `for` with `return` becomes.

        Its last statement sets the condition to `counter + 1 < length and ...`, and the counter to
        `counter + 1`; neither is set elsewhere in it.
        """
        scope, last = self._scope.get(loop), loop.body[-1]
        if scope and isinstance(loop.test, ast.Name) and isinstance(last, ast.Assign) and not loop.orelse:
            body = _assignments(loop.body)
            [*carried] = _pairs(last.targets[0], last.value)
            following = _value_of(loop.test.id, carried, body)
            for part in _arguments(following, "__and__"):
                compared = _arguments(part, "lt")
                if len(compared) == 2 and self._steps(compared[0], compared[1], carried, body, scope):
                    return
        raise ValueError("a while loop, which may never end")

    def _steps(
        self,
        counter: ast.expr,
        length: ast.expr,
        carried: Assignments,
        body: Assignments,
        scope: "_Scope",
    ) -> bool:
        """Return whether a counter is one more each round, and what it is compared with stays."""
        if not isinstance(counter, ast.Name) or not isinstance(length, ast.Name):
            return False
        step = _arguments(_value_of(counter.id, body, body), "add")
        if len(step) != 2 or not isinstance(step[0], ast.Name):
            return False
        before, one = step[0].id, step[1]
        follows = [value for name, value in carried if name == before]
        starts = [value for value in scope.values[before] if value not in follows]
        return (
            isinstance(one, ast.Constant)
            and one.value == 1
            and len(follows) == 1
            and isinstance(follows[0], ast.Name)
            and follows[0].id == counter.id
            and [name for name, _ in body].count(before) == 1
            and all(name != length.id for name, _ in body)
            and bool(starts)
            and all(isinstance(start, ast.Constant) and start.value == 0 for start in starts)
            and self._is_count(length, scope)
        )

    def _is_count(self, node: ast.expr | None, scope: "_Scope", depth: int = 0) -> bool:
        self._steps_left -= 1
        if self._steps_left < 0 or depth > 20 or node is None:
            return False
        if isinstance(node, ast.Constant):
            return isinstance(node.value, int) and abs(node.value) <= MOST_ROUNDS
        if isinstance(node, ast.UnaryOp):
            return self._is_count(node.operand, scope, depth + 1)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if not isinstance(node.func.value, ast.Name) or node.func.value.id != "torch":
                return False
            parts = (self._is_count(part, scope, depth + 1) for part in node.args)
            return node.func.attr in _LENGTHS or (node.func.attr in _SUMS and all(parts))
        if isinstance(node, ast.Name):
            if node.id in scope.parameters:
                return node.id not in scope.values and self._is_given_counts(node.id, scope, depth)
            values = scope.values.get(node.id, [])
            return bool(values) and all(self._is_count(value, scope, depth + 1) for value in values)
        return False

    def _is_given_counts(self, parameter: str, scope: "_Scope", depth: int) -> bool:
        place = scope.parameters.index(parameter)
        given: list[tuple[ast.expr | None, _Scope]] = []
        for call, caller in self._calls[scope.function.name]:
            named = [keyword.value for keyword in call.keywords if keyword.arg == parameter]
            at = place - scope.in_class
            if named or at < len(call.args):
                given.append((named[0] if named else call.args[at], caller))
        given += [(default, scope) for default in scope.defaults.get(parameter, [])]
        return bool(given) and all(self._is_count(value, caller, depth + 1) for value, caller in given)


class _Scope:
    """A function: its parameters, and what each name in it may be."""

    def __init__(self, function: ast.FunctionDef, *, in_class: bool) -> None:
        self.function = function
        self.in_class = in_class
        self.parameters = [argument.arg for argument in function.args.args]
        late = self.parameters[len(self.parameters) - len(function.args.defaults) :]
        self.defaults = {name: [value] for name, value in zip(late, function.args.defaults, strict=True)}
        self.values: dict[str, list[ast.expr | None]] = defaultdict(list)
        for name, value in _assignments(function.body):
            self.values[name].append(value)
        self.values = dict(self.values)

    def called(self, call: ast.Call) -> Iterator[str]:
        """Yield the names of the functions that a call may be of."""
        if isinstance(call.func, ast.Attribute):
            yield call.func.attr
        elif isinstance(call.func, ast.Name):
            for value in self.values.get(call.func.id, []):
                if isinstance(value, ast.Attribute):
                    yield value.attr


def _assignments(body: Iterable[ast.stmt]) -> Assignments:
    """Return each name that is set in a body, with its value; None where that is not written there."""
    found: Assignments = []
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    found += _pairs(target, node.value)
            elif isinstance(node, ast.AnnAssign):
                found += _pairs(node.target, node.value)
            elif isinstance(node, ast.For):
                found += _pairs(node.target, None)
    return found


def _pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple):
        parts = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else None
        for number, part in enumerate(target.elts):
            yield from _pairs(part, parts[number] if parts else None)


def _value_of(name: str, among: Assignments, body: Assignments) -> ast.expr | None:
    """Return the one value of a name, through one more name; None if there are several."""
    values = [value for known, value in among if known == name]
    if len(values) != 1 or [known for known, _ in body].count(name) != 1:
        return None
    value = values[0]
    return _value_of(value.id, body, body) if isinstance(value, ast.Name) and value.id != name else value


def _is_of_archive(node: ast.expr | None) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "__torch__"


def _arguments(node: ast.expr | None, name: str) -> list[ast.expr]:
    """Return the arguments of a call of torch.NAME; none of anything else."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute) and function.attr == name and isinstance(function.value, ast.Name):
        return node.args if function.value.id == "torch" and isinstance(node, ast.Call) else []
    return []
