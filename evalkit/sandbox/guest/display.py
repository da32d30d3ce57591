"""What a cell shows besides text: images and figures, in the order in which they were shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import wire


class Screen:
    """Collects one cell's images as raw pixels.

    Args:
        images: images kept per cell.
        pixels: pixels of one image; all of a cell together may have `wire.PIXELS_FACTOR` times as many.
    """

    def __init__(self, images: int, pixels: int) -> None:
        self._images = images
        self._pixels = pixels
        self.shown: list[tuple[str, int, int, bytes]] = []
        self.dropped = 0
        self._left = 0
        self.clear()

    def clear(self) -> None:
        """Begin a new cell."""
        self.shown = []
        self.dropped = 0
        self._left = self._pixels * wire.PIXELS_FACTOR

    def display(self, *objects: Any, **_: Any) -> None:
        """Show objects as a notebook does: images and figures as images, all else as text."""
        for value in objects:
            if not self.show(value):
                print(repr(value))

    def show(self, value: Any) -> bool:
        """Show `value` if it is an image or a figure, and say whether it is one."""
        if _is(value, "PIL.Image", "Image"):
            self._add(value)
        elif _is(value, "matplotlib.figure", "Figure"):
            self._draw(value)
            _pyplot("close", value)
        else:
            return False
        return True

    def show_figures(self) -> None:
        """Show the open figures in the order of their numbers, and close them (`plt.show`)."""
        try:
            for number in _pyplot("get_fignums") or ():
                self._draw(_pyplot("figure", number))
        finally:
            close_figures()

    def _draw(self, figure: Any) -> None:
        if len(self.shown) >= self._images:
            self.dropped += 1
            return
        from io import BytesIO

        from PIL import Image

        file = BytesIO()
        # Cropped to its contents, as notebooks show figures.
        figure.savefig(file, format="png", bbox_inches="tight", pil_kwargs={"compress_level": 0})
        with Image.open(file) as image:
            opaque = image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255)
            self._add(image.convert("RGB") if opaque else image)

    def _add(self, image: Any) -> None:
        width, height = image.size
        size = width * height
        if len(self.shown) >= self._images or not 0 < size <= min(self._pixels, self._left):
            self.dropped += 1
            return
        image = _convert(image)
        data = image.tobytes()
        self._left -= size
        self.shown.append((image.mode, width, height, data))


def close_figures() -> None:
    """Close every figure without showing it."""
    _pyplot("close", "all")


def install(screen: Screen) -> None:
    """Make `plt.show`, `Image.show` and `IPython.display.display` show on the screen."""

    def on_image(module: Any) -> None:
        module.Image.show = lambda self, *_, **__: screen.display(self)

    def on_pyplot(module: Any) -> None:
        # A plain function: pyplot sets attributes on it whenever the backend changes.
        def show(*_: Any, **__: Any) -> None:
            screen.show_figures()

        module.show = show

    kind = type(sys)
    notebook, shown = kind("IPython"), kind("IPython.display")
    # Matplotlib asks a loaded IPython for its version, and then for its shell.
    notebook.__dict__.update(display=shown, get_ipython=lambda: None, version_info=(9, 0, 0), __path__=[])
    shown.__dict__.update(display=screen.display)
    sys.modules.update({"IPython": notebook, "IPython.display": shown})
    sys.meta_path.insert(0, _AfterImport({"PIL.Image": on_image, "matplotlib.pyplot": on_pyplot}))


class _AfterImport:
    """Runs an action on a module right after its import, or now if it is imported already."""

    def __init__(self, actions: dict[str, Callable[[Any], None]]) -> None:
        self._actions = actions
        for name in [name for name in actions if name in sys.modules]:
            actions.pop(name)(sys.modules[name])

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        action = self._actions.get(name)
        if action is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                load = spec.loader.exec_module

                def exec_module(module: Any, load: Any = load, action: Any = action) -> None:
                    # An interrupted import is tried again, and the action with it.
                    load(module)
                    action(module)

                spec.loader.exec_module = exec_module  # type: ignore[method-assign]
                return spec
        return None


def _is(value: Any, module: str, name: str) -> bool:
    """Whether `value` is of a class whose module is loaded; nothing is imported to find out."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _pyplot(function: str, *arguments: Any) -> Any:
    plt = sys.modules.get("matplotlib.pyplot")
    # Absent, or still being imported by an interrupted cell.
    call = getattr(plt, function, None)
    return None if call is None else call(*arguments)


def _convert(image: Any) -> Any:
    if image.mode in wire.MODES:
        return image
    if image.mode in ("1", "F") or image.mode.startswith("I"):
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
