"use strict";
// The controls above the list: which run, beside which, and which of its rows.
(() => {
  const evalkit = (globalThis.evalkit ??= {});
  const parts = ((evalkit.trajectories ??= {}).parts ??= {});
  const { el, inert, linkable, marksOf, tally, WORDS } = parts;
  const FILTERS = ["outcome", "category", "called", "tools", "flip", "find", "all"];
  const TOOLS = ["redundant", "harm", "gain"];
  const FLIPS = [
    ["", "any"],
    ["either", "right in one run alone"],
    ["lost", "only the second is right"],
    ["won", "only the first is right"],
  ];

  class Controls {
    /** `change` is called with what the reader sets; `more` stands beside the choice of runs. */
    constructor(change, more) {
      this.change = change;
      this.fields = {};
      this.signs = {};
      const second = (value) => change(value ? { with: value, side: "1" } : { with: "", side: "", flip: "" });
      this.fields.find = el("input", {
        type: "search",
        autocomplete: "off",
        spellcheck: "false",
        placeholder: "part of a sample id",
      });
      this.fields.find.addEventListener("input", () => change({ find: this.fields.find.value }));
      this.fields.all = el("input", { type: "checkbox" });
      this.fields.all.addEventListener("change", () => change({ all: this.fields.all.checked ? "1" : "" }));
      const none = Object.fromEntries(FILTERS.map((key) => [key, ""]));
      const clear = { type: "button", class: "tj-button", onclick: () => change(none) };
      this.clear = el("button", clear, "Clear filters");
      this.rest = el("label", { class: "tj-field tj-check" }, this.fields.all);
      this.rest.append(el("span", {}, "also rows of which only figures are here"));
      this.element = el(
        "div",
        {},
        group("Runs", "", this.select("run", "Run"), this.select("with", "Second run", second), more),
        group(
          "Filters",
          " tj-filters",
          field("find", "Search", this.fields.find),
          this.select("outcome", "Outcome"),
          this.select("category", "Category"),
          this.select("called", "Tools called"),
          this.select("tools", "Against no tools"),
          this.select("flip", "Flipped"),
          this.rest,
          this.clear,
        ),
      );
    }

    select(key, name, changed = (value) => this.change({ [key]: value })) {
      const control = el("select", {});
      control.addEventListener("change", () => changed(control.value));
      this.fields[key] = control;
      return field(key, name, control);
    }

    /** Shows what this run has, each with its number of rows. `get` tells what is set. */
    show({ one, other, others, here }, get) {
      const { rows } = one;
      this.fill("run", grouped(evalkit.runs), linkable(one.run.run));
      const none = ["", others.length ? "none" : "no other run of this benchmark"];
      this.fill(
        "with",
        [none, ...others.map((number) => twice(evalkit.runs[number].run))],
        linkable(other?.run.run ?? ""),
      );
      this.fill("outcome", outcomes(rows), get("outcome"));
      const categories = tally(rows.categories).map(([name, n]) => [`=${linkable(name)}`, `${name || "none"} (${n})`]);
      this.fill("category", [["", "any"], ...categories], get("category"));
      this.fill("called", called(rows), get("called"));
      this.fill("tools", tools(rows), get("tools"));
      this.fill("flip", other ? FLIPS : [["", "choose a second run"]], other ? get("flip") : "");
      this.fields.all.checked = Boolean(get("all"));
      this.rest.hidden = !here.size || here.size === rows.ids.length;
      // what is being typed is not written over
      if (document.activeElement !== this.fields.find || !get("find")) this.fields.find.value = get("find");
      this.clear.hidden = FILTERS.every((key) => !get(key));
    }

    fill(key, choices, value) {
      const control = this.fields[key];
      const flat = choices.flatMap((choice) => choice.list ?? [choice]);
      // a link may ask for what this run has not
      const all = flat.some(([name]) => name === value)
        ? choices
        : [...choices, [value, `${value.replace(/^=/, "")} (0)`]];
      const sign = JSON.stringify(all);
      if (this.signs[key] !== sign) control.replaceChildren(...all.map(option));
      this.signs[key] = sign;
      control.value = value;
      control.disabled = control.options.length < 2;
    }
  }

  function field(key, name, control) {
    control.id = `tj-${key}`;
    return el("div", { class: `tj-field tj-field-${key}` }, el("label", { for: control.id }, name), control);
  }

  function group(name, more, ...children) {
    return el("div", { class: `tj-controls${more}`, role: "group", "aria-label": name }, ...children);
  }

  function option(choice) {
    if (choice.list) return el("optgroup", { label: inert(choice.group, 80) }, ...choice.list.map(option));
    return el("option", { value: choice[0] }, inert(choice[1], 120));
  }

  const twice = (name) => [linkable(name), name];

  function grouped(runs) {
    const tasks = new Map();
    for (const run of runs) tasks.set(run.task, [...(tasks.get(run.task) ?? []), twice(run.run)]);
    const groups = [...tasks].map(([task, list]) => ({ group: task, list }));
    return groups.length > 1 ? groups : groups.flatMap((one) => one.list);
  }

  function outcomes(rows) {
    const right = rows.right.filter((value) => value === true).length;
    const verdicts = tally(rows.verdicts).filter(([name]) => name !== "correct");
    return [
      ["", "any"],
      ["right", `right (${right})`],
      ["not right", `not right (${rows.ids.length - right})`],
      ...verdicts.map(([name, n]) => [`=${linkable(name)}`, `${WORDS[name]?.[2] ?? name} (${n})`]),
    ];
  }

  function called(rows) {
    const yes = rows.calls.filter((calls) => calls > 0).length;
    const no = rows.calls.filter((calls) => calls === 0).length;
    return [
      ["", "any"],
      ["yes", `yes (${yes})`],
      ["no", `no (${no})`],
    ];
  }

  function tools(rows) {
    if (rows.without.every((value) => value === null || value === undefined)) return [["", "not measured"]];
    const marks = new Map(tally(rows.ids.flatMap((_, row) => marksOf(rows, row))));
    return [["", "any"], ...TOOLS.map((name) => [name, `${name} (${marks.get(name) ?? 0})`])];
  }

  Object.assign(parts, { Controls, FILTERS });
})();
