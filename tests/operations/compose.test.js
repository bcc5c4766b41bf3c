// Prometheus, Alertmanager and Grafana of the compose file find each other, and the program lets Prometheus in.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { root, run, startServer } from "../packaging/process.js";
import { statusAs } from "./status-as.js";

const { parse, stringify } = createRequire(join(process.env.POOLGATE_TOOLS ?? "", "package.json"))("yaml");
const binary = process.env.TEST_POOLGATE_BIN ?? "";
const ops = join(root, "ops");
/** @type {(name: string) => any} */
const yaml = (name) => parse(readFileSync(join(ops, name), "utf8"));
const { services } = yaml("compose.yaml");
const scrapes = yaml("prometheus/prometheus.yaml");

/**
 * The file of this repository at a path in a container.
 * @param {string} service
 * @param {string} path
 */
function mounted(service, path) {
  for (const volume of services[service].volumes) {
    const [from, to] = volume.split(":");
    if (from.startsWith("./") && (path === to || path.startsWith(`${to}/`))) return join(ops, from, path.slice(to.length));
  }
  throw new Error(`${service} has no ${path}`);
}

/**
 * The value of a service's flag.
 * @param {string} service
 * @param {string} name
 */
function flag(service, name) {
  return services[service].command.find((/** @type {string} */ word) => word.startsWith(`--${name}=`)).split("=")[1];
}

test("Prometheus accepts its settings, and scrapes the app that runs", async () => {
  const file = mounted("prometheus", flag("prometheus", "config.file"));
  await run(process.env.PROMTOOL ?? "promtool", ["check", "config", file]);
  const [target] = scrapes.scrape_configs[0].static_configs[0].targets;
  const [host, port] = target.split(":");
  assert.ok(services[host]);
  assert.equal(services[host].environment.POOLGATE_SERVER__BIND, `0.0.0.0:${port}`);
});

test("the app answers Prometheus under the name that the network gives it", async (t) => {
  const cwd = mkdtempSync(join(tmpdir(), "poolgate-compose-"));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  const { POOLGATE_SERVER__ALLOWED_HOSTS } = services.app.environment;
  const args = ["--demo", "--bind", "127.0.0.1:0"];
  const { url, child, ended } = await startServer(binary, args, { cwd, env: { POOLGATE_SERVER__ALLOWED_HOSTS } });
  t.after(async () => {
    child.kill();
    await ended;
  });
  const [target] = scrapes.scrape_configs[0].static_configs[0].targets;
  assert.equal(await statusAs(`${url}/metrics`, target), 200);
  assert.equal(await statusAs(`${url}/metrics`, "another.example:8000"), 403);
});

// The collector itself is not among the tools; its receiver reads Prometheus' own settings.
test("an OpenTelemetry collector scrapes the same app, and each of its pipelines is whole", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "poolgate-collector-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { receivers, service, ...parts } = yaml("opentelemetry/collector.yaml");
  const { config } = receivers.prometheus;
  writeFileSync(join(folder, "scrapes.yaml"), stringify(config));
  await run(process.env.PROMTOOL ?? "promtool", ["check", "config", join(folder, "scrapes.yaml")]);
  assert.deepEqual(config.scrape_configs[0].static_configs, scrapes.scrape_configs[0].static_configs);
  for (const pipeline of [service.pipelines.traces, service.pipelines.metrics]) {
    for (const [kind, names] of Object.entries(pipeline)) {
      for (const name of names) assert.ok(name in { receivers, ...parts }[kind], `${kind}: ${name}`);
    }
  }
});

test("Alertmanager accepts its settings, and Prometheus sends to it", async () => {
  const file = mounted("alertmanager", flag("alertmanager", "config.file"));
  const amtool = join(process.env.ALERTMANAGER ?? "", "../amtool");
  await run(existsSync(amtool) ? amtool : "amtool", ["check-config", file]);
  const [target] = scrapes.alerting.alertmanagers[0].static_configs[0].targets;
  assert.deepEqual(services.alertmanager.ports, [`127.0.0.1:${target.split(":")[1]}:9093`]);
});

test("Grafana finds Prometheus and the dashboard", () => {
  const { datasources } = yaml("grafana/provisioning/datasources/prometheus.yaml");
  const { hostname, port } = new URL(datasources[0].url);
  assert.ok(services[hostname].ports.some((/** @type {string} */ published) => published.endsWith(`:${port}`)));
  assert.equal(datasources[0].isDefault, true);
  const [{ options }] = yaml("grafana/provisioning/dashboards/poolgate.yaml").providers;
  assert.ok(existsSync(join(mounted("grafana", options.path), "poolgate.json")));
  assert.ok(existsSync(mounted("grafana", "/etc/grafana/provisioning/datasources/prometheus.yaml")));
});

test("everything is published on loopback only", () => {
  for (const { ports = [] } of Object.values(services)) {
    for (const published of ports) assert.match(published, /^127\.0\.0\.1:/);
  }
});
