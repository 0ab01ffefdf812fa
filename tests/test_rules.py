"""Rules of the house that no linter knows, held by reading the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES_MAX = 400


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def found(pattern: str, *folders: str) -> set[str]:
    expression = re.compile(pattern, re.MULTILINE)
    return {
        str(path.relative_to(ROOT))
        for path in sources(*folders)
        if expression.search(path.read_text(encoding="utf-8"))
    }


def test_nobody_commits_but_the_unit_of_work_and_the_migrations() -> None:
    assert found(r"\.commit\(", "app", "workers") == {"app/core/uow.py"}


def test_a_state_of_an_order_is_set_in_the_repositories_only() -> None:
    assert found(r"UPDATE orders SET state", "app", "workers") == {
        "app/orders/attempt_repository.py",
        "app/orders/restore_repository.py",
    }
    assert found(r"^\s+(?!assert)\w+\.state = ", "app", "workers") == set()


def test_no_route_raises_the_frameworks_own_errors() -> None:
    assert found(r"raise HTTPException", "app", "workers") == set()


def test_settings_are_never_read_at_import() -> None:
    for path in sources("app", "workers"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            calls = [
                call.func.id
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            ]
            is_definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            assert is_definition or "load_settings" not in calls, path


def test_every_module_says_its_purpose_in_its_first_line() -> None:
    for path in sources("app", "workers", "bench"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, f"{path} has no docstring"
        assert docstring.splitlines()[0].endswith((".", "?", ":")), path


def test_no_module_has_outgrown_its_purpose() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in sources("app", "workers", "bench")
    }
    assert {str(path): length for path, length in lengths.items() if length > LINES_MAX} == {}


def test_no_promise_is_left_for_later() -> None:
    assert found(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", "app", "workers", "bench") == set()
