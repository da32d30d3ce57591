"use strict";
// One trajectory: the question with its images, the verdict, and the turns.
(() => {
  const evalkit = (globalThis.evalkit ??= {});
  const parts = ((evalkit.trajectories ??= {}).parts ??= {});
  const { el, data, put, svg, inert, count, seconds, block, foldable, isEmpty, badge } = parts;
  const KINDS = { __proto__: null, reason: "Reasoning", answer: "Answer", call: "Call that was not read", text: "" };
  const NAMES = { __proto__: null, reason: "reason", answer: "answer", call: "call" };
  const TONES = { __proto__: null, ok: "good", failed: "bad", timeout: "bad", malformed: "bad", unknown_tool: "bad" };
  const CODE = { __proto__: null, k: 1, b: 1, f: 1, s: 1, n: 1, c: 1 };
  const SERIES = 8;

  /** The parts of one trajectory beside the question, which two runs share: its verdict, images, and what it did. */
  function trajectory(detail, picture) {
    const crops = cropsOf(detail);
    const course = el("div", { class: "tj-course" });
    if (detail.prompt) course.append(fold("Prompt as sent", block(detail.prompt)));
    if (detail.partial) {
      course.append(note("Only the last response is known: nothing can be said of turns, calls and times before it."));
    }
    const steps = detail.turns ?? [];
    const longest = Math.max(...steps.map((turn) => total(turn.timing)), 0);
    const turns = el("ol", { class: "tj-turns" });
    for (const [number, turn] of steps.entries()) turns.append(turnOf(detail, turn, number, picture, crops, longest));
    course.append(steps.length ? turns : note("No turn is recorded."));
    if (detail.turns_left) course.append(note(`${count(detail.turns_left, "more turn")} left out of this report.`));
    if (detail.fallback) course.append(fold("Question without tools that the last turn replies to", block(detail.fallback)));
    if (detail.final) course.append(fold("What was scored of the last turn", block(detail.final)));
    if (detail.images_left) course.append(note(`${count(detail.images_left, "more image")} left out of this report.`));
    course.append(ending(detail));
    return { verdict: verdict(detail), images: images(detail, picture, crops), course };
  }

  /** The question and its options, the right one and the chosen ones marked. */
  function question(detail, judgements) {
    const box = el("section", { class: "tj-question" }, el("h4", {}, "Question"));
    box.append(isEmpty(detail.question) ? note("The question has no text.") : block(detail.question));
    const options = el("ul", { class: "tj-options" });
    for (const [letter, text] of detail.options ?? []) {
      const right = letter === detail.right;
      const chosen = judgements.filter((one) => one.judgement.answer === letter);
      const item = el(
        "li",
        { class: right ? "tj-right" : "" },
        data("span", { class: "tj-letter" }, inert(letter, 40)),
      );
      item.append(block(text));
      if (right) item.append(el("span", { class: "tj-badge tj-good" }, "reference"));
      for (const one of chosen)
        item.append(put(el("span", { class: `tj-badge ${right ? "tj-good" : "tj-bad"}` }), inert(one.name, 60)));
      options.append(item);
    }
    if (options.childElementCount) box.append(options);
    else box.append(line("Reference answer", data("span", { class: "tj-answer" }, detail.right || "none")));
    return box;
  }

  function verdict(detail) {
    const { judgement, without } = detail;
    const box = el("section", { class: "tj-verdict" });
    const first = el("p", { class: "tj-line" }, badge(judgement.verdict), " ", answer(judgement.answer));
    if (judgement.reason) first.append(" ", data("span", { class: "tj-muted" }, `read as ${inert(judgement.reason)}`));
    if (judgement.scorer)
      first.append(" ", data("span", { class: "tj-muted" }, `by ${inert(judgement.scorer, 80)}, strict rule`));
    box.append(first);
    if (judgement.error) box.append(data("p", { class: "tj-line tj-bad" }, inert(judgement.error, 600)));
    if (judgement.official)
      box.append(line("Official rule", badge(judgement.official), " ", answer(judgement.official_answer)));
    if (judgement.recorded !== undefined && judgement.recorded !== null) {
      box.append(line("The recording says", badge(judgement.recorded ? "correct" : "incorrect")));
    }
    if (without) {
      const said = line("Without tools", badge(without.judgement.verdict), " ", answer(without.judgement.answer));
      if (without.judgement.error)
        said.append(" ", data("span", { class: "tj-muted" }, inert(without.judgement.error)));
      box.append(said);
      if (!isEmpty(without.body)) box.append(fold("Its answer without tools, as written", block(without.body)));
    }
    return box;
  }

  function answer(text) {
    if (text === null || text === undefined) return el("span", { class: "tj-muted" }, "no answer read");
    return el("span", {}, "answer ", data("span", { class: "tj-answer" }, inert(text, 1000)));
  }

  /** The crops with a place on an image, numbered in order. */
  function cropsOf(detail) {
    const found = [];
    for (const turn of detail.turns ?? []) {
      for (const call of turn.calls ?? []) {
        if (call.crop?.box && Number.isInteger(call.crop.image))
          found.push({ call, ...call.crop, number: found.length + 1 });
      }
    }
    return found;
  }

  function images(detail, picture, crops) {
    const box = el("div", { class: "tj-images" });
    const own = (detail.images ?? []).slice(0, detail.own ?? 0);
    for (const [place, image] of own.entries()) {
      const name = own.length > 1 ? `Image ${place + 1}` : "Image";
      box.append(
        figure(
          image,
          picture(image.picture),
          name,
          crops.filter((crop) => crop.image === place),
        ),
      );
    }
    return own.length ? box : note("No image is recorded with this sample.");
  }

  /** A thumbnail with what was cut out of it drawn on it. */
  function figure(image, picture, name, crops = []) {
    const size = `${image.width} × ${image.height}`;
    const got = image.shown_width ? `, the model got ${image.shown_width} × ${image.shown_height}` : "";
    const tokens = image.tokens ? ` (${count(image.tokens, "token")})` : "";
    const caption = el("figcaption", {}, `${name}, ${size}${got}${tokens}`);
    // only a picture of the report's own making is shown, nothing that could be fetched
    if (!picture?.data?.startsWith("data:image/")) {
      const why = el("div", { class: "tj-no-picture" }, "No picture: ");
      return el("figure", {}, put(why, inert(picture?.why || "it is not in this file")), caption);
    }
    const cut = crops.length ? `, with ${count(crops.length, "crop")} drawn on it` : "";
    const frame = el(
      "div",
      { class: "tj-frame" },
      el("img", { src: picture.data, alt: `${name}, ${size}${cut}`, loading: "lazy" }),
    );
    if (crops.length) frame.append(overlay(crops));
    for (const crop of crops) frame.append(tag(crop));
    return el("figure", {}, frame, caption);
  }

  function overlay(crops) {
    const drawing = svg("svg", {
      class: "tj-overlay",
      viewBox: "0 0 1 1",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    for (const crop of crops) {
      const [left, top, right, bottom] = crop.box.map(Number);
      const place = { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0) };
      drawing.append(
        svg("rect", { ...place, class: "tj-halo" }),
        svg("rect", { ...place, class: `tj-crop ${series(crop)}` }),
      );
    }
    return drawing;
  }

  function tag(crop) {
    const label = el("span", { class: `tj-tag ${series(crop)}`, "aria-hidden": "true" }, String(crop.number));
    label.style.left = `${Math.min(Number(crop.box[0]) * 100, 94)}%`;
    label.style.top = `${Number(crop.box[1]) * 100}%`;
    label.classList.toggle("tj-below", Number(crop.box[1]) < 0.08);
    return label;
  }

  function series(crop) {
    return `tj-c${((crop.number - 1) % SERIES) + 1}`;
  }

  function turnOf(detail, turn, number, picture, crops, longest) {
    const facts = [];
    const { prompt_tokens: sent, completion_tokens: made, image_tokens: seen } = turn.usage ?? {};
    if (made !== undefined && made !== null) facts.push(`${count(made, "token")} written`);
    if (sent !== undefined && sent !== null)
      facts.push(`${sent.toLocaleString("en")} read${seen ? ` (${seen.toLocaleString("en")} of images)` : ""}`);
    if (turn.finish && turn.finish !== "stop") facts.push(`finish ${inert(turn.finish, 40)}`);
    if (turn.retries) facts.push(count(turn.retries, "retry", "retries"));
    if (Number.isFinite(turn.temperature)) facts.push(`drawn at temperature ${turn.temperature}`);
    const item = el(
      "li",
      { class: "tj-turn" },
      el("h5", {}, `Turn ${number + 1}`, " ", el("span", { class: "tj-muted" }, facts.join(", "))),
    );
    if (turn.discarded) item.append(note(`Taken out of the conversation: ${inert(turn.discarded, 300)}.`));
    item.append(timing(turn.timing ?? {}, longest, Boolean(turn.calls?.length)));
    const told = new Set();
    for (const piece of turn.pieces ?? []) {
      const call = turn.calls?.[piece.call];
      if (call) {
        told.add(piece.call);
        item.append(callOf(detail, call, picture, crops));
      } else if (!isEmpty(piece.body) || piece.opening) item.append(pieceOf(piece));
    }
    if (turn.pieces_left) item.append(note(`${count(turn.pieces_left, "more character")} left out.`));
    if (!turn.pieces?.length) item.append(note("The model wrote nothing."));
    for (const [place, call] of (turn.calls ?? []).entries())
      if (!told.has(place)) item.append(callOf(detail, call, picture, crops));
    if (turn.calls_left) item.append(note(`${count(turn.calls_left, "more call")} left out.`));
    for (const observed of turn.told ?? []) item.append(observation(detail, observed, picture, "The model was told"));
    return item;
  }

  function pieceOf(piece) {
    const kind = NAMES[piece.kind] ?? "text";
    const box = el("div", { class: `tj-piece tj-piece-${kind}` });
    const unclosed = piece.opening && !piece.closing ? " (never closed)" : "";
    const tags = piece.opening || piece.closing;
    const heading = KINDS[kind] ? `${KINDS[kind]}${unclosed}` : "";
    if (heading) box.append(el("p", { class: "tj-kind" }, heading, " ", tags ? data("code", {}, inert(tags, 40)) : ""));
    // what stands beside reasoning, calls and answer is mostly repetition
    box.append(block(piece.body, {}, kind === "text"));
    return box;
  }

  function callOf(detail, call, picture, crops) {
    const tone = TONES[call.status] ?? "warn";
    const head = el(
      "p",
      { class: "tj-kind" },
      "Call ",
      data("strong", {}, inert(call.tool, 80) || "without a name"),
      " ",
    );
    head.append(data("span", { class: `tj-badge tj-${tone}` }, inert(String(call.status).replaceAll("_", " "), 40)));
    if (call.ran) head.append(" ", el("span", { class: "tj-muted" }, seconds(call.seconds) || "time not measured"));
    const crop = crops.find((one) => one.call === call);
    if (crop)
      head.append(
        " ",
        el("span", { class: `tj-tag tj-inline ${series(crop)}`, "aria-hidden": "true" }, String(crop.number)),
      );
    if (call.crop) {
      const where = crop ? `crop ${crop.number}, ` : call.crop.image === undefined ? "" : "outside the image, ";
      head.append(" ", data("span", { class: "tj-muted" }, `${where}${inert(call.crop.text)}`));
    }
    const box = el("div", { class: "tj-call" }, head);
    if (call.code?.length) box.append(code(call));
    if (call.arguments?.length) {
      const list = el("dl", { class: "tj-arguments" });
      for (const [name, value] of call.arguments)
        list.append(data("dt", {}, inert(name, 60)), el("dd", {}, block(value)));
      box.append(list);
    }
    if (call.arguments_left) box.append(note(`${count(call.arguments_left, "more argument")} left out.`));
    if (!isEmpty(call.raw)) box.append(block(call.raw, { class: "tj-raw" }));
    if (call.error) box.append(data("p", { class: "tj-line tj-bad" }, inert(call.error, 600)));
    if (call.observation) {
      const name = crop ? `Crop ${crop.number}` : "Image";
      box.append(observation(detail, call.observation, picture, "Observation", name));
    }
    return box;
  }

  function code(call) {
    const content = el("code", {});
    for (const [kind, text] of call.code)
      content.append(put(el("span", CODE[kind] ? { class: `tj-code-${kind}` } : {}), text));
    if (call.code_left)
      content.append(el("span", { class: "tj-cut" }, `${count(call.code_left, "character")} left out`));
    const whole = call.code.map(([, text]) => text).join("");
    return foldable(el("pre", { class: "tj-code", dir: "ltr" }, content), whole);
  }

  function observation(detail, observed, picture, title, name = "Image") {
    const box = el("div", { class: "tj-observation" }, el("p", { class: "tj-kind" }, title));
    if (!isEmpty(observed.body)) box.append(block(observed.body));
    const row = el("div", { class: "tj-images" });
    for (const place of observed.images ?? []) {
      const image = detail.images?.[place];
      if (image) row.append(figure(image, picture(image.picture), name));
    }
    if (row.childElementCount) box.append(row);
    else if (isEmpty(observed.body)) box.append(note("Empty: neither text nor an image is recorded."));
    return box;
  }

  function partsOf(timing) {
    const known = [
      ["queue", timing.queue_s],
      ["first token", timing.ttft_s],
      ["decode", timing.decode_s],
    ].filter(([, value]) => Number.isFinite(value));
    const spent = known.reduce((sum, [, value]) => sum + value, 0);
    if (Number.isFinite(timing.generate_s)) {
      // what the engine does not tell apart
      const rest = timing.generate_s - spent;
      if (rest > 0.0005) known.push([known.length ? "other" : "model", rest]);
    }
    if (timing.tool_s) known.push(["tools", timing.tool_s]);
    return known;
  }

  function total(timing) {
    return partsOf(timing ?? {}).reduce((sum, [, value]) => sum + value, 0);
  }

  /** A turn's seconds as a bar on the scale of the longest turn, and in words. */
  function timing(times, longest, called) {
    const given = { generate_s: 0, tool_s: 0, ...times };
    const known = partsOf(given);
    if (!known.length || longest <= 0) return el("p", { class: "tj-times tj-muted" }, "times not measured");
    const bar = el("div", { class: "tj-bar", "aria-hidden": "true" });
    const words = el("p", { class: "tj-times" });
    for (const [name, value] of known) {
      const kind = name.replace(" ", "-");
      const part = el("span", { class: `tj-part tj-time-${kind}` });
      part.style.width = `${(100 * value) / longest}%`;
      bar.append(part);
      words.append(
        el(
          "span",
          {},
          el("span", { class: `tj-dot tj-time-${kind}`, "aria-hidden": "true" }),
          `${name} ${seconds(value)}`,
        ),
        " ",
      );
    }
    if (called && times.tool_s === null) words.append(el("span", { class: "tj-muted" }, "tool time not measured"));
    return el("div", {}, bar, words);
  }

  function ending(detail) {
    const { prompt_tokens: sent, completion_tokens: made } = detail.usage ?? {};
    const facts = [
      ...(detail.restarts ? [`${count(detail.restarts, "conversation")} begun anew`] : []),
      detail.seconds === undefined || detail.seconds === null ? "time not measured" : seconds(detail.seconds),
    ];
    if (made !== undefined && made !== null) facts.push(`${count(made, "token")} written`);
    if (sent !== undefined && sent !== null) facts.push(`${sent.toLocaleString("en")} read`);
    const box = line(
      "End",
      data("strong", {}, inert(String(detail.stop).replaceAll("_", " "), 60)),
      ` ${facts.join(", ")}`,
    );
    if (detail.error) box.append(" ", data("span", { class: "tj-bad" }, inert(detail.error, 600)));
    return box;
  }

  function line(name, ...children) {
    return el("p", { class: "tj-line" }, el("span", { class: "tj-name" }, name), " ", ...children);
  }

  function note(words) {
    return el("p", { class: "tj-note" }, words);
  }

  function fold(name, content) {
    return el("details", { class: "tj-fold" }, el("summary", {}, name), content);
  }

  Object.assign(parts, { trajectory, question, note });
})();
