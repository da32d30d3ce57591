"""Matplotlib's SVG made fit for a page: no styles, no ids that could meet others, colours by name, hints over marks."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping

from evalkit.reporting.charts.drawing import MARK, TEXT, Drawing
from evalkit.reporting.charts.style import WIDTH, colours

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', 'DejaVu Sans', sans-serif"

_NUMBER = re.compile(r"-?\d+\.\d+")
_SIZE = re.compile(r"([\d.]+)px")
_LOCAL = re.compile(r"url\(#([^)]+)\)|#(.+)")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_DRAWN = (f"{_SVG}path", f"{_SVG}use")
_ANCHORS = {"center": "middle", "right": "end"}
_NUMBERS = frozenset({"d", "x", "y", "transform", "width", "height"})


def page_svg(drawing: Drawing, prefix: str, title: str, alt: str) -> str:
    """An `<svg>` to stand in a page: colours are `var(--c1)` and so on.

    Args:
        drawing: under `style.drawing_rules`.
        prefix: starts all ids; no other chart of the page may have it. Letters, digits, `-` and `_`.
        title: its accessible name.
        alt: its accessible description.
    """
    names = {value: f"var(--{name})" for name, value in colours().items()}
    root = _cleaned(drawing, prefix, title, alt, names)
    root.set("class", "chart")
    return ET.tostring(root, encoding="unicode")


def file_svg(drawing: Drawing, prefix: str, title: str, alt: str) -> str:
    """The text of an SVG file: light colours on white."""
    root = _cleaned(drawing, prefix, title, alt, {})
    size = {"width": root.get("width", ""), "height": root.get("height", "")}
    root.insert(2, ET.Element("rect", {**size, "fill": colours()["bg"]}))
    return ET.tostring(root, encoding="unicode") + "\n"


def _cleaned(drawing: Drawing, prefix: str, title: str, alt: str, names: Mapping[str, str]) -> ET.Element:
    text = io.StringIO()
    drawing.figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = ET.fromstring(text.getvalue())
    used = {found[1] or found[2] for node in drawn.iter() for found in _references(node)}
    for node in list(drawn.iter()):
        _hint(node, drawing)
        _style(node, names)
        _numbers(node)
        _link(node, prefix, used)
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg"})
    size = {"width": f"{WIDTH:g}", "height": f"{drawing.height:g}"}
    root.attrib |= {"viewBox": f"0 0 {size['width']} {size['height']}", **size, "role": "img"}
    root.attrib |= {"aria-labelledby": f"{prefix}-title {prefix}-desc", "font-family": _FONTS}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    for tag, words in (("title", title), ("desc", alt)):
        ET.SubElement(root, tag, {"id": f"{prefix}-{tag}"}).text = words
    root.extend(child for node in drawn for child in _flat(node))
    return root


def _references(node: ET.Element) -> Iterator[re.Match[str]]:
    for key, value in node.attrib.items():
        if key == _HREF or "url(#" in value:
            yield from _LOCAL.finditer(value)


def _hint(node: ET.Element, drawing: Drawing) -> None:
    """Puts hints into the marks of a group; texts get what they should say, and are aligned by the page's font."""
    gid = node.get("id", "")
    if gid.startswith(MARK):
        places = [child for child in _outside_defs(node) if child.tag in _DRAWN]
        for place, hint in zip(places, drawing.hints[int(gid[len(MARK) :])], strict=True):
            ET.SubElement(place, f"{_SVG}title").text = hint
        node.set("class", "mark")
    elif gid.startswith(TEXT):
        line = drawing.texts[int(gid[len(TEXT) :])]
        for place in node.iter(f"{_SVG}text"):
            place.text = line.text
            place.attrib |= {"x": f"{line.x:.2f}", "y": f"{line.baseline:.2f}"}
            if line.align != "left":
                place.set("text-anchor", _ANCHORS[line.align])


def _outside_defs(node: ET.Element) -> Iterator[ET.Element]:
    for child in node:
        if child.tag != f"{_SVG}defs":
            yield child
            yield from _outside_defs(child)


def _style(node: ET.Element, names: Mapping[str, str]) -> None:
    """Styles become attributes, which a strict content security policy lets through."""
    for part in (node.attrib.pop("style", "")).split(";"):
        key, _, value = (piece.strip() for piece in part.partition(":"))
        if key in ("font", "font-size"):
            # the family is the page's; "font" is how matplotlib before 3.11 says it
            size = _SIZE.search(value)
            node.set("font-size", size[1] if size else value)
        elif key and key != "font-family":
            node.set(key, value)
    for key in ("fill", "stroke"):
        value = node.get(key, "")
        if _COLOUR.fullmatch(value):
            node.set(key, names.get(value, value))


def _numbers(node: ET.Element) -> None:
    """A hundredth of a pixel is enough."""
    if node.tag == f"{_SVG}text":
        node.attrib.pop("transform", None)
    for key in _NUMBERS & node.attrib.keys():
        node.set(key, " ".join(_NUMBER.sub(lambda found: f"{round(float(found[0]), 2):g}", node.attrib[key]).split()))


def _link(node: ET.Element, prefix: str, used: set[str]) -> None:
    """Ids that something refers to get the chart's prefix; the others go."""
    name = node.attrib.pop("id", None)
    if name in used:
        node.set("id", f"{prefix}-{name}")
    if (link := node.attrib.pop(_HREF, None)) is not None:
        node.set("href", f"#{prefix}-{link[1:]}")
    for key, value in node.attrib.items():
        if value.startswith("url(#"):
            node.set(key, f"url(#{prefix}-{value[5:]}")


def _flat(node: ET.Element) -> list[ET.Element]:
    """The node without its namespace and white space; a group that says nothing gives way to what it holds."""
    if node.tag in (f"{_SVG}metadata", f"{_SVG}style"):
        return []
    children = [child for inner in node for child in _flat(inner)]
    tag = node.tag.removeprefix(_SVG)
    if tag in ("g", "defs") and (not children or (tag == "g" and not node.attrib)):
        return children
    flat = ET.Element(tag, node.attrib)
    flat.text = node.text if tag in ("text", "title") else None
    flat.extend(children)
    return [flat]
