"use strict";
// The trajectory browser: evalkit.trajectories.mount(section). What it shows is told by the page's address:
// run (its name, or its number), t.row (sample id), t.with (second run), t.side, and the filters.
(() => {
  const evalkit = (globalThis.evalkit ??= {});
  const { el, data, inert, linkable, count, placesOf, matching, RowList, Controls, FILTERS, Pane, inReach } =
    evalkit.trajectories.parts;
  const KEYS = ["run", "row", "with", "side", ...FILTERS];
  const HELP = [
    ["j or ↓, k or ↑", "next or previous row (→ and ← in an open trajectory)"],
    ["Enter", "open the row's trajectory"],
    ["Escape", "back to the list"],
    ["s", "side by side with a second run"],
    ["/", "search sample ids"],
    ["?", "this list of keys"],
  ];

  const named = (key) => (key === "run" ? key : `t.${key}`);
  const get = (key) => evalkit.state.get(named(key)) || "";

  class Browser {
    constructor(section) {
      this.turn = 0;
      this.list = new RowList((row) => this.open(row));
      this.pane = new Pane({ open: (row) => this.open(row), close: () => this.close(), side: () => this.side() });
      const help = { type: "button", class: "tj-button", onclick: () => this.help() };
      this.controls = new Controls((changes) => this.change(changes), el("button", help, "Keys (?)"));
      this.status = el("p", { class: "tj-status", role: "status" });
      this.dialog = helpDialog();
      const left = el("div", { class: "tj-left" }, this.list.element);
      const panes = el("div", { class: "tj-panes" }, left, this.pane.element);
      this.root = el("div", { class: "tj" }, this.controls.element, this.status, panes, this.dialog);
      section.append(this.root);
      this.pane.empty();
      for (const key of KEYS) evalkit.state.on(named(key), () => this.soon());
      document.addEventListener("keydown", (event) => this.key(event));
      // a link to a trajectory shows it, wherever on the page it is
      this.toPane = Boolean(get("row"));
      this.soon();
    }

    change(changes) {
      evalkit.state.set(
        Object.fromEntries(Object.entries(changes).map(([key, value]) => [named(key), linkable(value) || null])),
      );
      this.soon();
    }

    /** Many keys of the address may change at once; the page is drawn once. */
    soon() {
      if (this.waiting) return;
      this.waiting = true;
      queueMicrotask(() => {
        this.waiting = false;
        this.refresh().catch((error) => {
          const words = `The trajectories cannot be shown: ${inert(error?.message ?? error)}`;
          this.status.replaceChildren(data("span", { class: "tj-bad" }, words));
        });
      });
    }

    /** The runs have changed, as under `evalkit view`; a trajectory that is open stays as it is. */
    renew() {
      // one that is only being read is not there yet
      this.kept = this.drawn;
      this.soon();
    }

    async refresh() {
      const turn = (this.turn += 1);
      const { runs } = evalkit;
      if (!runs.length) {
        this.status.textContent = "There is no run to show.";
        return;
      }
      const mine = Math.max(numberOf(get("run")), 0);
      const others = [...runs.keys()].filter((number) => number !== mine && runs[number].task === runs[mine].task);
      const second = numberOf(get("with"));
      const [one, other] = await Promise.all([runOf(mine), others.includes(second) ? runOf(second) : null]);
      if (turn !== this.turn) return;
      const here = inReach(mine);
      const found = matching(one.rows, Object.fromEntries(FILTERS.map((key) => [key, get(key)])), other, here);
      const row = one.places.get(get("row")) ?? -1;
      Object.assign(this, { one, other, others, found });
      this.controls.show({ one, other, others, here }, get);
      this.root.classList.toggle("tj-opened", row >= 0);
      this.list.show(one.rows, found, { other, here, opened: row });
      const all = count(one.rows.ids.length, "trajectory", "trajectories");
      this.status.textContent =
        found.length === one.rows.ids.length ? all : `${found.length.toLocaleString("en")} of ${all}`;
      const beside = get("side") && other ? other.run.run : null;
      const now = row < 0 ? null : JSON.stringify([one.run.run, get("row"), beside]);
      const kept = now && this.kept === now;
      this.kept = null;
      if (kept) return;
      this.drawn = null;
      if (!now) this.pane.empty();
      else if (await this.read(row, turn)) this.drawn = now;
    }

    async read(row, turn) {
      const { one, other, others, found } = this;
      const beside = get("side") ? other : null;
      const drawn = await this.pane.show({ one, beside, others, found, row }, () => turn === this.turn);
      if (!drawn || !this.toPane) return drawn;
      this.toPane = false;
      const { element } = this.pane;
      element.focus({ preventScroll: true });
      const narrow = globalThis.matchMedia("(max-width: 60rem)").matches;
      const { top } = element.getBoundingClientRect();
      if (narrow || top < 0 || top > innerHeight / 2) element.scrollIntoView({ block: "start" });
      return true;
    }

    open(row) {
      this.toPane = true;
      this.change({ row: this.one.rows.ids[row] });
    }

    close() {
      this.change({ row: "" });
      // on a narrow screen the list comes back with the next drawing
      queueMicrotask(() => this.list.element.focus());
    }

    /** Side by side or not; without a second run, with the first other one of the benchmark. */
    side() {
      if (!this.others.length) this.status.textContent = "There is no other run of this benchmark.";
      else if (get("side") && this.other) this.change({ side: "" });
      else this.change({ side: "1", with: this.other?.run.run ?? evalkit.runs[this.others[0]].run });
    }

    help() {
      if (!this.dialog.open) this.dialog.showModal();
    }

    step(place, stay) {
      this.list.move(place);
      if (this.list.row === undefined) return;
      if (!this.opened) this.list.element.focus();
      else if (stay) this.change({ row: this.one.rows.ids[this.list.row] });
      else this.open(this.list.row);
    }

    get opened() {
      return this.root.classList.contains("tj-opened");
    }

    key(event) {
      const { target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || this.dialog.open) return;
      if (!this.one || !this.concerned(target)) return;
      const act = target.matches("input:not([type=checkbox]), select, textarea")
        ? this.fromField(event.key, target)
        : this.action(event.key, target);
      if (!act) return;
      event.preventDefault();
      act();
    }

    /** Whether keys are meant for this part: focus is in it, or nowhere and this part is on the screen. */
    concerned(target) {
      if (this.root.contains(target)) return true;
      if (target !== document.body && target !== document.documentElement) return false;
      const box = this.root.getBoundingClientRect();
      return box.height > 0 && box.top < innerHeight && box.bottom > 0;
    }

    fromField(key, field) {
      const done = key === "Escape" || (key === "Enter" && field === this.controls.fields.find);
      return done ? () => this.list.element.focus() : null;
    }

    action(key, target) {
      const { list, opened } = this;
      const inList = target === list.element;
      const by =
        { j: 1, k: -1 }[key] ??
        (inList || !opened ? { ArrowDown: 1, ArrowUp: -1 } : { ArrowRight: 1, ArrowLeft: -1 })[key];
      if (by) return () => this.step(list.active + by, inList);
      const jump = { PageDown: list.active + list.page, PageUp: list.active - list.page, Home: 0, End: Infinity }[key];
      if (inList && jump !== undefined) return () => this.step(jump, true);
      // a button's own Enter is the button's
      if (key === "Enter" && !target.matches("button, summary, a") && list.row !== undefined)
        return () => this.open(list.row);
      if (key === "Escape" && opened) return () => this.close();
      return { "/": () => this.controls.fields.find.focus(), "?": () => this.help(), s: () => this.side() }[key];
    }
  }

  function numberOf(name) {
    const number = evalkit.runs.findIndex((run) => linkable(run.run) === name);
    return number < 0 && /^\d{1,6}$/.test(name) && Number(name) < evalkit.runs.length ? Number(name) : number;
  }

  async function runOf(number) {
    const rows = await evalkit.load(`rows/${number}`);
    return { number, rows, places: placesOf(rows), run: evalkit.runs[number] };
  }

  function helpDialog() {
    const keys = el("dl", { class: "tj-keys" });
    for (const [key, what] of HELP) keys.append(el("dt", {}, el("kbd", {}, key)), el("dd", {}, what));
    const dialog = el(
      "dialog",
      { class: "tj-help", "aria-label": "Keys" },
      el("p", { class: "tj-kind" }, "Keys"),
      keys,
    );
    dialog.append(el("button", { type: "button", class: "tj-button", onclick: () => dialog.close() }, "Close"));
    return dialog;
  }

  evalkit.trajectories.mount = (section) => new Browser(section);
})();
