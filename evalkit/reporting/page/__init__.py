"""A report as a page for a browser: one file, a folder, or what `evalkit view` serves."""

from evalkit.reporting.page.assets import Source
from evalkit.reporting.page.compose import Composer, Page, Reach
from evalkit.reporting.page.html import LIMIT, one_file, write_html
from evalkit.reporting.page.site import write_site

__all__ = ["LIMIT", "Composer", "Page", "Reach", "Source", "one_file", "write_html", "write_site"]
