"use strict";
/* Leaderboards: sorting, filtering, hiding columns; all of it in the URL's fragment. */
(() => {
  const { state } = window.evalkit;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  let endings = [];

  function enhanced(table) {
    const name = table.dataset.board;
    const key = (what) => `${name}.${what}`;
    const heads = [...table.tHead.rows[0].cells];
    const groups = [...table.tBodies];
    const titles = groups.map((group) => group.querySelector("tr.group")).filter(Boolean);
    const rows = groups.flatMap((group) =>
      [...group.rows].filter((row) => row.dataset.kind).map((row) => ({ row, group, text: row.cells[0].dataset.text.toLowerCase() })),
    );
    const columns = new Map(heads.map((head, place) => [head.dataset.c, { head, place }]));

    /* ---- sorting ---- */

    for (const [column, { head }] of columns) {
      const unit = head.querySelector(".unit");
      const label = document.createTextNode(head.firstChild.textContent.trim());
      head.firstChild.remove();
      const arrow = element("span", { className: "arrow", ariaHidden: "true" });
      const button = element("button", { type: "button", className: "sort" }, label, arrow);
      head.prepend(button);
      if (unit) head.append(unit);
      button.addEventListener("click", () => state.set({ [key("sort")]: next(column) }));
    }

    function sorting() {
      const [column, order] = (state.get(key("sort")) ?? "").split(":");
      return columns.has(column) && ["up", "down"].includes(order) ? { column, order } : null;
    }

    function next(column) {
      const { head } = columns.get(column);
      const first = "rising" in head.dataset || head.dataset.kind === "text" ? "up" : "down";
      const now = sorting();
      if (now?.column !== column) return `${column}:${first}`;
      return now.order === first ? `${column}:${first === "up" ? "down" : "up"}` : null;
    }

    function sort() {
      const now = sorting();
      for (const [column, { head }] of columns) {
        const mine = now?.column === column;
        if (mine) head.setAttribute("aria-sort", now.order === "up" ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
        head.querySelector(".arrow").textContent = mine ? (now.order === "up" ? "↑" : "↓") : "";
      }
      if (!now) {
        for (const { row, group } of rows) group.append(row);
        return;
      }
      const { head, place } = columns.get(now.column);
      const sign = now.order === "up" ? 1 : -1;
      const value = head.dataset.kind === "text"
        ? (one) => one.text
        : (one) => (one.row.cells[place].dataset.v === undefined ? null : Number(one.row.cells[place].dataset.v));
      const compare = head.dataset.kind === "text" ? (a, b) => a.localeCompare(b) : (a, b) => a - b;
      const valued = rows.map((one) => [one, value(one)]);
      valued.sort(([, a], [, b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
      for (const [{ row }] of valued) groups[0].append(row);
    }

    /* ---- filtering ---- */

    const find = element("input", { type: "search", placeholder: "Find an agent" });
    find.setAttribute("aria-label", "Find an agent");
    const kinds = element("select", {}, ...[["", "measured and published"], ["measured", "measured only"], ["published", "published only"]].map(([value, words]) => element("option", { value }, words)));
    kinds.setAttribute("aria-label", "Which rows");
    const shown = element("span", { className: "shown" });
    shown.setAttribute("role", "status");
    find.addEventListener("input", () => state.set({ [key("find")]: find.value }));
    kinds.addEventListener("change", () => state.set({ [key("show")]: kinds.value }));

    function filter() {
      const wanted = (state.get(key("find")) ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const kind = state.get(key("show")) ?? "";
      let count = 0;
      const left = new Set();
      for (const { row, group, text } of rows) {
        const fits = (!kind || row.dataset.kind === kind) && wanted.every((word) => text.includes(word));
        row.hidden = !fits;
        if (fits) {
          count += 1;
          left.add(group);
        }
      }
      for (const title of titles) title.hidden = Boolean(sorting()) || !left.has(title.parentElement);
      shown.textContent = count === rows.length ? `${count} rows` : `${count} of ${rows.length} rows`;
      if (find.value !== (state.get(key("find")) ?? "")) find.value = state.get(key("find")) ?? "";
      kinds.value = kind;
    }

    /* ---- columns ---- */

    const boxes = new Map();
    for (const [column, { head }] of columns) {
      if (column === "run") continue;
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        const hidden = [...boxes].filter(([, one]) => !one.checked).map(([other]) => other);
        state.set({ [key("hide")]: hidden.join(",") });
      });
      boxes.set(column, box);
      const unit = head.querySelector(".unit")?.textContent ?? "";
      const words = head.querySelector(".sort").firstChild.textContent;
      box.dataset.words = column === "loaded" || column === "isolated" ? `${words}, ${unit}` : words;
    }

    function hide() {
      const hidden = new Set((state.get(key("hide")) ?? "").split(","));
      for (const [column, box] of boxes) {
        const gone = hidden.has(column);
        if (box.checked !== gone && columns.get(column).head.hidden === gone) continue;
        box.checked = !gone;
        const { head, place } = columns.get(column);
        head.hidden = gone;
        for (const { row } of rows) row.cells[place].hidden = gone;
      }
      const visible = [...columns.values()].filter(({ head }) => !head.hidden).length;
      for (const title of titles) title.cells[0].colSpan = visible;
    }

    const choices = element("div", { className: "choices" }, ...[...boxes.values()].map((box) => element("label", {}, box, ` ${box.dataset.words}`)));
    const chooser = element("details", {}, element("summary", {}, "Columns"), choices);
    chooser.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      chooser.open = false;
      chooser.firstChild.focus();
    });
    const elsewhere = (event) => {
      if (!chooser.contains(event.target)) chooser.open = false;
    };
    document.addEventListener("click", elsewhere);
    endings.push(() => document.removeEventListener("click", elsewhere));

    const controls = document.querySelector(`[data-controls-of="${CSS.escape(table.id)}"]`);
    controls.append(find, ...(titles.length ? [kinds] : []), chooser, shown);

    const both = () => {
      sort();
      filter();
    };
    for (const [what, act] of [["sort", both], ["find", filter], ["show", filter], ["hide", hide]]) endings.push(state.on(key(what), act));
    sort();
    filter();
    hide();
  }

  /** Makes all leaderboards of the page work; again after they were exchanged for newer ones. */
  function enhance() {
    for (const end of endings) end();
    endings = [];
    for (const table of document.querySelectorAll("table.leaderboard")) enhanced(table);
  }

  window.evalkit.boards = { enhance };
  enhance();
})();
