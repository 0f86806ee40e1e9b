"""Writes what follows from the native module: docstrings of the stub, and `vecstore.aio`.

Run it with a Python that has the package, from any folder: `python stubs.py`; with `--check` it
changes nothing and fails if something would change.
"""

import ast
import inspect
import pathlib
import sys
import textwrap

from vecstore import _native

PACKAGE = pathlib.Path(__file__).parent / "python" / "vecstore"
HANDLES = {"Database", "Collection", "Scroll"}


def with_docstrings(stub: str) -> str:
    """The stub with the docstrings that the module has."""
    lines = stub.splitlines()
    places = []

    def visit(body, owner):
        for node in body:
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                continue
            real = inspect.getattr_static(owner, node.name, None)
            first = node.body[0]
            has = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            if real is not None and has and isinstance(first.value.value, str):
                places.append((first.lineno, first.end_lineno, first.col_offset, real.__doc__))
            if isinstance(node, ast.ClassDef) and real is not None:
                visit(node.body, real)

    visit(ast.parse(stub).body, _native)
    for start, end, indent, doc in sorted(places, reverse=True):
        text = inspect.cleandoc(doc).replace("\\", "\\\\")
        text = f'"""{text}"""' if "\n" not in text else f'"""{text}\n"""'
        lines[start - 1 : end] = textwrap.indent(text, " " * indent).splitlines()
    return "\n".join(lines) + "\n"


def asynchronous(stub: str) -> str:
    """`vecstore.aio`: each method of Database and Collection, run in a thread."""
    out = [
        '"""`vecstore` for asyncio: the same names; each call runs in a thread of the loop\'s pool.',
        "",
        "    async with await vecstore.aio.open(\"data/\") as db:",
        "        docs = await db.create_collection(\"docs\", dim=3)",
        "        hits = await docs.query([0.1, 0.9, 0.1], k=5)",
        "",
        "A call that is cancelled goes on in its thread; its outcome is dropped. Written by",
        "`stubs.py`.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import asyncio",
        "from typing import TYPE_CHECKING, Any, Literal, Self, final, overload",
        "",
        "from . import _native",
        "",
        "if TYPE_CHECKING:",
        "    import os",
        "    from collections.abc import Iterable, Mapping, Sequence",
        "    from types import TracebackType",
        "    from typing import SupportsFloat, SupportsIndex",
        "",
        "    from ._native import (",
        "        BatchHits,",
        "        Comparison,",
        "        Groups,",
        "        Hits,",
        "        Plan,",
        "        Record,",
        "        _Codes,",
        "        _Filter,",
        "        _Id,",
        "        _Include,",
        "        _Index,",
        "        _Metric,",
        "        _Params,",
        "        _Precision,",
        "        _Progress,",
        "        _Table,",
        "        _Value,",
        "        _Vector,",
        "        _Vectors,",
        "    )",
        "",
        '__all__ = ["Collection", "Database", "Scroll", "open", "repair"]',
    ]
    for node in ast.parse(stub).body:
        if isinstance(node, ast.FunctionDef):
            returned = ast.unparse(node.returns)
            out += ["", "", *function(node, f"_native.{node.name}", "", returned)]
        elif isinstance(node, ast.ClassDef) and node.name in HANDLES:
            out += [
                "", "", "@final", f"class {node.name}:",
                f'    """`vecstore.{node.name}`, whose methods are awaited."""', "",
                f"    def __init__(self, blocking: _native.{node.name}) -> None:",
                f'        """Wraps one that was opened with `vecstore`; `blocking` gives it back."""',
                "        self.blocking = blocking",
            ]
            seen = set()
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    out += one_method(node.name, method, seen)
            if node.name == "Scroll":
                out += [
                    "", "    def __aiter__(self) -> Self:", "        return self", "",
                    "    async def __anext__(self) -> list[Record]:",
                    "        page = await asyncio.to_thread(next, self.blocking, None)",
                    "        if page is None:",
                    "            raise StopAsyncIteration",
                    "        return page",
                ]
            if node.name == "Database":
                out += [
                    "", "    async def __aenter__(self) -> Self:", "        return self", "",
                    "    async def __aexit__(", "        self,",
                    "        exc_type: type[BaseException] | None,",
                    "        exc_value: BaseException | None,",
                    "        traceback: TracebackType | None,", "    ) -> None:",
                    "        await self.close()",
                ]
            if node.name != "Scroll":
                out += [
                    "", "    def __repr__(self) -> str:", '        return f"aio.{self.blocking!r}"'
                ]
    return "\n".join(out) + "\n"


def one_method(owner, method, seen):
    decorators = [ast.unparse(d) for d in method.decorator_list]
    if "property" in decorators:
        return [
            "", "    @property",
            f"    def {method.name}(self) -> {ast.unparse(method.returns)}:",
            f"        return self.blocking.{method.name}",
        ]
    if method.name.startswith("_"):
        return []
    if "overload" in decorators:
        lines = ["", "    @overload"]
        head = signature(method, "async def", ast.unparse(method.returns), "    ")
        head[-1] += " ..."
        if method.name == "get" and method.name not in seen:
            # A `str` is iterable too; it is one id.
            head[0] += "  # type: ignore[overload-overlap]"
        seen.add(method.name)
        lines += head
        # Of several overloads only the last is followed by what runs.
        if LAST[f"{owner}.{method.name}"].lineno == method.lineno:
            arguments = method.args.args[1:]
            required = len(arguments) - len(method.args.defaults)
            shown = [f"{a.arg}: Any" for a in arguments[:required]]
            for argument, default in zip(arguments[required:], method.args.defaults):
                shown.append(f"{argument.arg}: Any = {ast.unparse(default)}")
            passed = [a.arg if i == 0 else f"{a.arg}={a.arg}" for i, a in enumerate(arguments)]
            lines += [
                "", f"    async def {method.name}(", "        self,",
                *(f"        {part}," for part in shown), "    ) -> Any:",
                f"        call: Any = self.blocking.{method.name}",
                f"        return await asyncio.to_thread(call, {', '.join(passed)})",
            ]
        return lines
    if method.name == "scroll":
        lines = [""] + signature(method, "def", "Scroll", "    ")
        arguments = method.args.args[1:] + method.args.kwonlyargs
        call = ", ".join(f"{a.arg}={a.arg}" for a in arguments)
        return lines + [f"        return Scroll(self.blocking.scroll({call}))"]
    return [""] + function(method, f"self.blocking.{method.name}", "    ", None)


#: Of every method the last definition, by "Class.method".
LAST: dict[str, ast.FunctionDef] = {}


def signature(node, kind, returns, indent):
    arguments = node.args
    parts = []
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
    for argument, default in zip(arguments.args, defaults):
        part = argument.arg
        if argument.annotation is not None:
            part += f": {ast.unparse(argument.annotation)}"
        if default is not None:
            part += f" = {ast.unparse(default)}"
        parts.append(part)
    if arguments.kwonlyargs:
        parts.append("*")
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
            parts.append(
                f"{argument.arg}: {ast.unparse(argument.annotation)} = {ast.unparse(default)}"
            )
    one = f"{indent}{kind} {node.name}({', '.join(parts)}) -> {returns}:"
    if len(one) <= 76:
        return [one]
    return [
        f"{indent}{kind} {node.name}(",
        *(f"{indent}    {part}," for part in parts),
        f"{indent}) -> {returns}:",
    ]


def function(node, call, indent, returns):
    returned = returns or ast.unparse(node.returns)
    lines = signature(node, "async def", returned, indent)
    names = [a.arg for a in node.args.args if a.arg != "self"]
    passed = [f"{name}={name}" if i else name for i, name in enumerate(names)]
    passed += [f"{a.arg}={a.arg}" for a in node.args.kwonlyargs]
    arguments = "".join(f", {part}" for part in passed)
    run = f"await asyncio.to_thread({call}{arguments})"
    if returned in HANDLES:
        run = f"{returned}({run})"
    return lines + [f"{indent}    return {run}"]


def main() -> int:
    stub_path, aio_path = PACKAGE / "_native.pyi", PACKAGE / "aio.py"
    stub = with_docstrings(stub_path.read_text("utf-8"))
    for node in ast.parse(stub).body:
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    LAST[f"{node.name}.{method.name}"] = method
    written = {stub_path: stub, aio_path: asynchronous(stub)}
    stale = [
        path for path, text in written.items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is not what stubs.py writes; run it")
        return bool(stale)
    for path in stale:
        path.write_text(written[path], "utf-8")
        print("wrote", path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
