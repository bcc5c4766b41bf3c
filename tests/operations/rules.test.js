// The alert rules and the dashboard: they are valid, each rule is tested, and they ask only for what the program exports.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { root, run, startServer } from "../packaging/process.js";

const { parse } = createRequire(join(process.env.POOLGATE_TOOLS ?? "", "package.json"))("yaml");
const promtool = process.env.PROMTOOL ?? "promtool";
const binary = process.env.TEST_POOLGATE_BIN ?? "";
const prometheus = join(root, "ops/prometheus");
const runbooks = join(root, "docs/runbooks");

/** @type {(name: string) => any} */
const yaml = (name) => parse(readFileSync(join(prometheus, name), "utf8"));
/** @type {(name: string) => any[]} */
const rulesOf = (name) => yaml(name).groups.flatMap((/** @type {any} */ group) => group.rules);
const alerts = rulesOf("alerts.yaml");
const recordings = rulesOf("recording.yaml");
const testFiles = readdirSync(join(prometheus, "tests"));
const dashboard = JSON.parse(readFileSync(join(root, "ops/grafana/dashboards/poolgate.json"), "utf8"));

test("Prometheus accepts the rules", async () => {
  const files = ["recording.yaml", "alerts.yaml"].map((name) => join(prometheus, name));
  const found = await run(promtool, ["check", "rules", "--lint=all", "--lint-fatal", ...files]);
  assert.match(found, new RegExp(`SUCCESS: ${alerts.length} rules found`));
});

test("each alert fires when it should, and only then", async () => {
  await run(promtool, ["test", "rules", ...testFiles.map((name) => join(prometheus, "tests", name))]);
});

test("for each alert there is a test in which it fires, and one in which it stays silent", () => {
  const tests = testFiles.flatMap((name) => yaml(`tests/${name}`).tests);
  for (const { alert } of alerts) {
    const named = tests.filter((/** @type {any} */ one) => one.name.startsWith(`${alert} `));
    const fires = named.filter((/** @type {any} */ one) => one.name.startsWith(`${alert} fires`));
    assert.ok(fires.length > 0, `${alert} fires in no test`);
    for (const one of fires) assert.ok(expected(one).includes(alert), `"${one.name}" expects no ${alert}`);
    const silent = named.filter((/** @type {any} */ one) => one.name.startsWith(`${alert} stays silent: `));
    assert.ok(silent.length > 0, `${alert} stays silent in no test`);
    for (const one of silent) assert.ok(looksAtNothing(one), `"${one.name}" does not look at a silent moment`);
  }
});

test("each alert says how urgent it is, and leads to its page", () => {
  for (const { alert, labels, annotations } of alerts) {
    assert.ok(["page", "ticket"].includes(labels.severity), alert);
    assert.ok(annotations.summary && annotations.description, alert);
    assert.ok(annotations.runbook_url.endsWith(`/${alert}.md`), alert);
    const page = readFileSync(join(runbooks, `${alert}.md`), "utf8");
    assert.ok(page.startsWith(`# ${alert}\n\nSeverity: ${labels.severity}.\n`), `${alert}.md`);
    for (const heading of ["\n## Check\n", "\n## Do\n"]) assert.ok(page.includes(heading), `${alert}.md: ${heading}`);
    for (const [, link] of page.matchAll(/\]\(([^)#]+)\)/g)) assert.ok(existsSync(join(runbooks, link)), link);
  }
  const pages = readdirSync(runbooks).filter((name) => name.startsWith("Poolgate"));
  assert.deepEqual(pages.sort(), alerts.map(({ alert }) => `${alert}.md`).sort());
});

test("the dashboard takes any data source, and explains each panel", () => {
  const { list } = dashboard.templating;
  assert.equal(list[0].name, "datasource");
  assert.equal(list[0].type, "datasource");
  const sources = [...list.slice(1), ...dashboard.annotations.list, ...panels(), ...panels().flatMap(targets)];
  for (const { datasource, title, refId, name } of sources) {
    assert.equal(datasource.uid, "${datasource}", title ?? name ?? refId);
  }
  for (const { title, description } of panels()) assert.ok(description, title);
  const ids = dashboard.panels.map((/** @type {any} */ panel) => panel.id);
  assert.equal(new Set(ids).size, ids.length, "each panel has its own id");
});

test("rules and dashboard ask only for metrics and labels that the program exports", async (t) => {
  const cwd = mkdtempSync(join(tmpdir(), "poolgate-operations-"));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  const { url, child, ended } = await startServer(binary, ["--demo", "--port", "0"], { cwd });
  t.after(async () => {
    child.kill();
    await ended;
  });
  // A request that uses the database, and time for the forecast.
  assert.equal((await fetch(`${url}/api/v1/lab/hold?hold_ms=1`)).status, 200);
  const answer = await exported(url);
  // OpenTelemetry's conventions give this name.
  const complaints = (await promtoolMetrics(answer)).split("\n").filter((line) => line && !line.startsWith("db_client_connection_count "));
  assert.deepEqual(complaints, []);
  const known = new Map([...seriesOf(answer), ...fromPrometheus()]);
  const asked = [...alerts, ...recordings].map(({ expr }) => expr).concat(expressions());
  assert.ok(asked.length > 60, "all expressions were found");
  for (const expression of asked) {
    for (const { name, labels } of selectors(expression)) {
      const has = known.get(name);
      assert.ok(has, `${name} is not exported: ${expression}`);
      for (const label of labels) assert.ok(has.has(label), `${name} has no label ${label}: ${expression}`);
    }
  }
});

/** What Prometheus itself and the recording rules add. */
function fromPrometheus() {
  const own = [["up", new Set(["job", "instance"])]];
  const recorded = recordings.map(({ record }) => [record, new Set(["job", "instance", "level"])]);
  return /** @type {[string, Set<string>][]} */ ([...own, ...recorded]);
}

/** @param {string} url */
async function exported(url) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    if (text.includes("poolgate_forecast_requests_per_second ")) return text;
    assert.ok(Date.now() < deadline, `no forecast:\n${text}`);
    await fetch(`${url}/api/v1/lab/hold?hold_ms=1`);
  }
}

/**
 * What promtool says about names, types and help texts.
 * @param {string} text
 * @returns {Promise<string>}
 */
function promtoolMetrics(text) {
  return new Promise((resolve) => {
    const child = execFile(promtool, ["check", "metrics"], (error, stdout, stderr) => resolve(stdout + stderr));
    child.stdin?.end(text);
  });
}

/**
 * The metrics of an answer, each with its labels.
 * @param {string} text
 * @returns {Map<string, Set<string>>}
 */
function seriesOf(text) {
  const series = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels] = /^([a-z_]+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (!name) continue;
    const known = series.get(name) ?? series.set(name, new Set(["job", "instance"])).get(name);
    for (const [, label] of (labels ?? "").matchAll(/([a-z_]+)="/g)) known.add(label);
  }
  return series;
}

/**
 * The metrics that an expression selects, each with the labels that it compares.
 * @param {string} expression
 */
function selectors(expression) {
  const found = expression.matchAll(/\b((?:up|(?:instance:|job:)?(?:poolgate|db_client)[a-z0-9_:]*))(?:\{([^}]*)\})?/g);
  return [...found].map(([, name, matchers]) => ({
    name,
    labels: [...(matchers ?? "").matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label),
  }));
}

function panels() {
  return dashboard.panels.filter((/** @type {any} */ panel) => panel.type !== "row");
}

/** @param {any} panel */
function targets(panel) {
  return panel.targets;
}

/** Every expression of the dashboard, its variables included. */
function expressions() {
  const shown = panels().flatMap(targets).map((/** @type {any} */ target) => target.expr);
  const marks = dashboard.annotations.list.map((/** @type {any} */ annotation) => annotation.expr);
  const offered = dashboard.templating.list.slice(1).map((/** @type {any} */ variable) => variable.query.query);
  return [...shown, ...marks, ...offered];
}

/**
 * The alerts that a test expects.
 * @param {any} one
 * @returns {string[]}
 */
function expected(one) {
  const rules = (one.alert_rule_test ?? []).filter((/** @type {any} */ check) => check.exp_alerts?.length);
  const samples = (one.promql_expr_test ?? []).flatMap((/** @type {any} */ check) => check.exp_samples ?? []);
  const named = samples.map((/** @type {any} */ sample) => /alertname="(\w+)"/.exec(sample.labels)?.[1]);
  return [...rules.map((/** @type {any} */ check) => check.alertname), ...named];
}

/**
 * Whether a test looks at a moment in which its alert is not there.
 * @param {any} one
 */
function looksAtNothing(one) {
  const alert = one.name.split(" ")[0];
  return one.promql_expr_test.some((/** @type {any} */ check) => {
    const samples = check.exp_samples ?? [];
    return check.expr.includes("ALERTS") && !samples.some((/** @type {any} */ sample) => sample.labels.includes(`"${alert}"`));
  });
}
