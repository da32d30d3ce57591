"""A folder of runs in the browser: a server for one reader on one machine."""

from evalkit.viewer.app import make_app
from evalkit.viewer.server import serve
from evalkit.viewer.shelf import Shelf
from evalkit.viewer.source import Gone, Page, Source

__all__ = ["Gone", "Page", "Shelf", "Source", "make_app", "serve"]
