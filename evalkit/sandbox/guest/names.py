"""Names that a cell finds bound without importing them, resolved when a cell first mentions them.

A process that imports numpy and matplotlib before its first cell takes a second to start; most
cells need neither. The names are found in the cell's syntax tree, because `exec` wants a plain
dict for its globals, so that a missing name cannot be caught when it is looked up.
"""

from __future__ import annotations

import _ast
from collections.abc import Callable, Iterator
from typing import Any

_DYNAMIC = frozenset({"compile", "dir", "eval", "exec", "globals", "locals", "vars"})


class LazyNames:
    """Bindings that are made on first mention.

    Args:
        namespace: the session's globals.
        imports: name to the import statement that binds it.
        images: opens the image behind `image_1`, `image_2`, ... in this order.
    """

    def __init__(self, namespace: dict[str, Any], imports: dict[str, str], images: list[Callable[[], Any]]) -> None:
        self._namespace = namespace
        self._imports = imports
        self._images = {f"image_{number}": image for number, image in enumerate(images, 1)}

    def bind(self, tree: _ast.Module) -> None:
        """Bind what the cell mentions and the session does not have yet.

        Raises:
            Exception: whatever opening an image raises.
        """
        mentioned = set(_mentioned(tree))
        if mentioned & _DYNAMIC:
            mentioned.update(word for text in _strings(tree) for word in _words(text))
            mentioned.update(self._images)
        for name in sorted(mentioned - self._namespace.keys()):
            if name in self._images:
                self._namespace[name] = self._images[name]()
            elif name in self._imports:
                try:
                    exec(self._imports[name], self._namespace)
                except Exception:
                    # The mention may be a local variable of the same name; if it is not, the cell
                    # gets its own NameError at the right line.
                    continue


def _nodes(tree: _ast.AST) -> Iterator[_ast.AST]:
    # A loop, not a recursion: a cell may be nested as deeply as the parser allows.
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, _ast.AST):
            yield node
            todo.extend(getattr(node, field, None) for field in node._fields)


def _mentioned(tree: _ast.AST) -> Iterator[str]:
    for node in _nodes(tree):
        if isinstance(node, _ast.Name) and not isinstance(node.ctx, _ast.Store):
            yield node.id
        elif isinstance(node, _ast.AugAssign) and isinstance(node.target, _ast.Name):
            yield node.target.id


def _strings(tree: _ast.AST) -> Iterator[str]:
    for node in _nodes(tree):
        if isinstance(node, _ast.Constant) and isinstance(node.value, str):
            yield node.value


def _words(text: str) -> list[str]:
    return "".join(c if c.isidentifier() or c.isdigit() else " " for c in text).split()
