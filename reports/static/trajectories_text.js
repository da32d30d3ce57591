"use strict";
// Elements made of data. Everything a model, a tool or a data set wrote reaches the page as text, through `put`:
// characters that could turn, hide or break it are written as escapes.
(() => {
  const evalkit = (globalThis.evalkit ??= {});
  const parts = ((evalkit.trajectories ??= {}).parts ??= {});
  const SVG = "http://www.w3.org/2000/svg";
  // controls, lone surrogates, marks of direction, and what is seen by nobody; joiners stay, scripts need them
  const UNSEEN =
    /[\p{Cc}\p{Cs}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;
  const LINES = 24;
  const CHARACTERS = 1600;
  const FEW = 8;

  function escaped(character) {
    const code = character.codePointAt(0);
    const hex = code.toString(16);
    if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  }

  /** A string for places that take no elements: an option, a label. One line. */
  function inert(text, limit = 300) {
    const flat = String(text ?? "")
      .slice(0, limit + 1)
      .replace(UNSEEN, (c) => (c === "\n" || c === "\t" ? " " : escaped(c)));
    return flat.length > limit ? `${flat.slice(0, limit)}…` : flat;
  }

  /** A name as an address can hold it: half of a surrogate pair, which none can, as an escape. */
  function linkable(text) {
    return String(text).replace(/\p{Cs}/gu, escaped);
  }

  /** Appends a text of data to an element; its line breaks stay. */
  function put(element, text) {
    const whole = String(text ?? "").replaceAll("\r\n", "\n");
    let at = 0;
    for (const found of whole.matchAll(UNSEEN)) {
      if (found[0] === "\n" || found[0] === "\t") continue;
      if (found.index > at) element.append(whole.slice(at, found.index));
      const mark = document.createElement("span");
      mark.className = "tj-escape";
      mark.textContent = escaped(found[0]);
      element.append(mark);
      at = found.index + found[0].length;
    }
    if (at < whole.length) element.append(at ? whole.slice(at) : whole);
    return element;
  }

  /** An element of the page's own; strings among `children` are its own words, never data. */
  function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "class") element.className = value;
      else if (name === "onclick") element.addEventListener("click", value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }

  /** An element with a text of data in it, kept apart from its neighbours' direction. */
  function data(tag, attributes, text) {
    return put(el(tag, { dir: "auto", ...attributes }), text);
  }

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function count(number, one, many = `${one}s`) {
    return `${Number(number).toLocaleString("en")} ${number === 1 ? one : many}`;
  }

  function seconds(value) {
    if (value === null || value === undefined) return "";
    return value >= 100
      ? `${value.toFixed(0)} s`
      : value >= 0.995
        ? `${value.toFixed(1)} s`
        : `${(value * 1000).toFixed(0)} ms`;
  }

  /** Shuts what is long, with a button that opens it; print shows it whole. */
  function foldable(content, text, few = false) {
    const share = few ? FEW / LINES : 1;
    const long = text.length > CHARACTERS * share || text.split("\n", LINES + 1).length > LINES * share;
    if (!long) return content;
    content.classList.add("tj-shut");
    content.classList.toggle("tj-few", few);
    const words = `Show all ${count(text.length, "character")}`;
    const button = el("button", { type: "button", class: "tj-more", "aria-expanded": "false" }, words);
    button.addEventListener("click", () => {
      const shut = content.classList.toggle("tj-shut");
      button.setAttribute("aria-expanded", String(!shut));
      button.textContent = shut ? words : "Show less";
    });
    return el("div", { class: "tj-foldable" }, content, button);
  }

  /** A Text of the details: its start, what is left out, its end. `few`: of minor interest, shut earlier. */
  function block(text, attributes = {}, few = false) {
    const content = data("div", { ...attributes, class: `tj-text ${attributes.class ?? ""}` }, trimmed(text?.text));
    let whole = text?.text ?? "";
    if (text?.left) {
      content.append(el("span", { class: "tj-cut" }, `${count(text.left, "character")} left out`));
      put(content, text.tail ?? "");
      whole += text.tail ?? "";
    }
    return foldable(content, whole, few);
  }

  function trimmed(text) {
    return String(text ?? "")
      .replace(/^\s*\n/, "")
      .trimEnd();
  }

  function isEmpty(text) {
    return !text || (!trimmed(text.text) && !text.left);
  }

  Object.assign(parts, { inert, linkable, put, el, data, svg, count, seconds, foldable, block, isEmpty });
})();
