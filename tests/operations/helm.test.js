// The Helm chart: what it renders is valid, locked up and accepted by the program, and wrong values are refused.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { plainEnvironment, root, run, startServer } from "../packaging/process.js";
import { ask, chart, containerOf, helm, named, one, pathsOf, podOf, render } from "./helm/chart.js";
import { keysOfExample, keysOfSchema, seconds } from "./helm/settings.js";
import { statusAs } from "./status-as.js";

const { parse } = createRequire(join(process.env.POOLGATE_TOOLS ?? "", "package.json"))("yaml");
const binary = process.env.TEST_POOLGATE_BIN ?? "";

/** @typedef {import("./helm/chart.js").Rendered} Rendered */
/** @typedef {import("./helm/chart.js").Values} Values */

const PASSWORD = "hunter2";
/** What stands in the Secrets that the values name. */
const SECRETS = /** @type {Record<string, string>} */ ({
  DATABASE_URL: `postgres://app:${PASSWORD}@db/shop`,
  POOLGATE_WATCH__URL: `pgbouncer://stats:${PASSWORD}@pooler:6432/shop`,
  POOLGATE_SERVER__ADMIN_TOKEN: `${PASSWORD}${PASSWORD}${PASSWORD}`,
  POOLGATE_ALERTS__URL: `https://alerts.example/${PASSWORD}`,
  POOLGATE_ALERTS__SECRET: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
});
const GATEWAY = {
  settings: { upstream: { url: "http://shop:8001" }, gate: { max_concurrent_requests: 5, bypass: ["/static/"] } },
};
const CLUSTER = { replicas: 3, settings: { cluster: { store: "postgres", connections: 90, max_replicas: 8 } } };

/** Ways to use the chart. */
const USES = /** @type {Record<string, Values>} */ ({
  "a database": {},
  "a cluster": CLUSTER,
  "a cluster in NATS": { ...CLUSTER, settings: { cluster: { ...CLUSTER.settings.cluster, store: "nats://nats:4222" } } },
  "a PgBouncer in between": { replicas: 2, settings: { database: { pgbouncer: true } } },
  "the demo on SQLite": { database: { existingSecret: "" }, settings: { demo: { enabled: true } } },
  "a gateway": GATEWAY,
  "three gateways": { ...GATEWAY, replicas: 3 },
  "a watched source": { settings: { watch: { url: "pgbouncer://stats@pooler/shop", transactions_per_request: 1.5 } } },
  "a watched source with a password": { replicas: 2, watch: { existingSecret: "pooler" } },
  "a part of another chart": { global: { region: "north" } },
  everything: {
    ...CLUSTER,
    settings: {
      ...CLUSTER.settings,
      policy: "adaptive",
      server: { max_connections: 1_000_000, allowed_hosts: ["shop.example", "*.shop.example"], drain_timeout: "30s" },
      thresholds: { info: 60.5, warning: 75, critical: 90 },
    },
    image: { repository: "registry.example:5000/poolgate", digest: `sha256:${"0".repeat(64)}` },
    imagePullSecrets: ["registry"],
    bindAddress: "[::]",
    adminToken: { existingSecret: "token" },
    alertsUrl: { existingSecret: "alerts", key: "address" },
    alertsSecret: { existingSecret: "alerts", key: "signature" },
    extraEnv: [{ name: "RUST_LOG", value: "debug" }],
    extraVolumes: [{ name: "authority", secret: { secretName: "authority" } }],
    extraVolumeMounts: [{ name: "authority", mountPath: "/etc/authority" }],
    service: { type: "LoadBalancer", port: 8080, annotations: { internal: "true" } },
    ingress: {
      enabled: true,
      className: "nginx",
      annotations: { "nginx.ingress.kubernetes.io/proxy-buffering": "off" },
      hosts: ["app.example", "*.app.example"],
      tls: [{ secretName: "app-tls", hosts: ["app.example"] }],
    },
    serviceAccount: { name: "gatekeeper", annotations: { purpose: "none" } },
    networkPolicy: {
      enabled: true,
      from: [{ namespaceSelector: { matchLabels: { name: "ingress" } } }],
      egress: [{ to: [{ ipBlock: { cidr: "10.0.0.0/8" } }], ports: [{ port: 5432 }] }],
    },
    serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
    prometheusRule: { enabled: true, labels: { release: "prometheus" } },
    terminationGracePeriodSeconds: 120,
    podAnnotations: { team: "shop" },
    podLabels: { team: "shop" },
    priorityClassName: "high",
    nodeSelector: { disk: "ssd" },
    tolerations: [{ key: "dedicated", operator: "Exists" }],
    affinity: { podAntiAffinity: {} },
    topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule" }],
  },
});

test("Helm finds nothing to complain about", async () => {
  const findings = JSON.parse(await helm("lint", chart));
  // The project has no picture yet.
  assert.deepEqual(findings.map((/** @type {any} */ finding) => finding.error), ["icon is recommended"]);
  const { appVersion, version } = parse(readFileSync(join(chart, "Chart.yaml"), "utf8"));
  const [, released] = /^version = "(.+)"$/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8")) ?? [];
  assert.deepEqual([appVersion, version], [released, released]);
});

for (const [use, values] of Object.entries(USES)) {
  test(`Kubernetes accepts the chart for ${use}, and the program its settings`, async (t) => {
    const { manifests } = await render(values);
    const container = containerOf(manifests);
    const config = settingsFile(t, manifests);
    for (const address of ["10.1.2.3", "2001:db8::1"]) {
      const env = { ...plainEnvironment(), ...environment(container, address), POOLGATE_CONFIG_FILE: config };
      assert.equal(await run(binary, ["check-config"], { env }), "The settings are fine.\n");
    }
    assert.deepEqual(container.args, ["serve"]);
    const mount = container.volumeMounts.find((/** @type {any} */ mount) => mount.name === "settings");
    assert.equal(named(container.env, "POOLGATE_CONFIG_FILE").value, `${mount.mountPath}/poolgate.toml`);
  });
}

test("the check by Kubernetes' schemas can fail", async () => {
  const misspelt = render({ extraVolumes: [{ name: "authority", emptyDirr: {} }] });
  await assert.rejects(misspelt, /Deployment is not valid .*emptyDirr/s);
});

test("the program reads what the values say", async (t) => {
  const config = settingsFile(t, (await render(USES.everything)).manifests);
  const env = { ...plainEnvironment(), DATABASE_URL: SECRETS.DATABASE_URL };
  const printed = (await run(binary, ["print-config", "--config", config], { env })).split("\n");
  const times = ['drain_delay = "10s"', 'drain_timeout = "30s"'];
  for (const line of [...times, "max_connections = 1000000", "info = 60.5", "warning = 75.0", 'store = "postgres"']) {
    assert.ok(printed.includes(line), line);
  }
});

/** @type {[string, Values, RegExp][]} */
const REFUSED = [
  ["an unknown value", { replicaCount: 2 }, /additional properties 'replicaCount' not allowed/],
  ["an unknown part of a value", { image: { name: "x" } }, /'\/image': additional properties 'name' not allowed/],
  ["an unknown setting", { settings: { pool: { sise: 5 } } }, /'\/settings\/pool': .*'sise' not allowed/],
  ["a missing value", { service: null }, /missing property 'service'/],
  ["a size that is no number", { settings: { pool: { size: 1.5 } } }, /'\/settings\/pool\/size'/],
  ["a time without a unit", { settings: { server: { drain_delay: "10" } } }, /'\/settings\/server\/drain_delay'/],
  ["replicas without a cluster", { replicas: 3 }, /3 replicas .* settings\.cluster\.store .*max_replicas at least 6/],
  ["a demo of several replicas", { replicas: 2, settings: { demo: { enabled: true } } }, /2 replicas/],
  ["a cluster too small for a deploy", { ...CLUSTER, replicas: 5 }, /max_replicas is 8, but must be at least 10/],
  [
    "a cluster with too few connections",
    { settings: { cluster: { ...CLUSTER.settings.cluster, connections: 39 } } },
    /connections is 39, but must be at least 40/,
  ],
  [
    "a cluster's password in a ConfigMap",
    { ...CLUSTER, settings: { cluster: { ...CLUSTER.settings.cluster, store: "nats://app:secret@nats:4222" } } },
    /POOLGATE_CLUSTER__STORE from a Secret/,
  ],
  [
    "a store of an unknown kind",
    { ...CLUSTER, settings: { cluster: { ...CLUSTER.settings.cluster, store: "redis://cache" } } },
    /'\/settings\/cluster\/store'/,
  ],
  ["a cluster of gateways", { settings: { ...CLUSTER.settings, ...GATEWAY.settings } }, /cluster\.store needs a pool/],
  [
    "gateways without a number",
    { replicas: 2, settings: { upstream: { url: "http://shop:8001" } } },
    /gate\.max_concurrent_requests to .* divided by 2/,
  ],
  ["nothing to do", { database: { existingSecret: "" } }, /nothing to do: .*database\.existingSecret/],
  [
    "two sources",
    { watch: { existingSecret: "pooler" }, settings: { watch: { url: "postgres://db/shop" } } },
    /remove one of them/,
  ],
  ["too short a grace period", { terminationGracePeriodSeconds: 22 }, /is 22, but must be at least 23/],
  ["an Ingress without hosts", { ingress: { enabled: true } }, /ingress\.hosts is empty/],
  [
    "a policy against Prometheus",
    { ...GATEWAY, networkPolicy: { enabled: true }, serviceMonitor: { enabled: true } },
    /networkPolicy\.operatorsFrom/,
  ],
  ["an address to listen on", { settings: { server: { bind: "0.0.0.0:80" } } }, /settings\.server\.bind .*bindAddress/],
  ["an address for operators", { settings: { server: { admin_bind: "0.0.0.0:81" } } }, /admin_bind .*bindAddress/],
  ["the database's URL", { settings: { database: { url: "postgres://db/shop" } } }, /database\.existingSecret/],
  ["a source's password", { settings: { watch: { url: `pgbouncer://u:${PASSWORD}@h/d` } } }, /watch\.existingSecret/],
  ["a source's token", { settings: { watch: { url: "metrics+http://app/metrics?token=1" } } }, /watch\.existingSecret/],
  ["the admin token", { settings: { server: { admin_token: PASSWORD } } }, /adminToken\.existingSecret/],
  ["the receiver of alerts", { settings: { alerts: { url: "https://alerts.example" } } }, /alertsUrl\.existingSecret/],
  ["the key of alerts", { settings: { alerts: { secret: PASSWORD } } }, /alertsSecret\.existingSecret/],
];
for (const [what, values, message] of REFUSED) {
  test(`the chart refuses ${what}`, async () => {
    const { refused } = await ask(values);
    assert.match(refused ?? "nothing was refused", message);
    assert.ok(!refused.includes(PASSWORD), "no message repeats a secret");
  });
}

test("the values know the settings of the program, and no others", () => {
  const { settings } = JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8")).properties;
  assert.deepEqual(keysOfSchema(settings), keysOfExample());
});

test("a pod has time to stop", async () => {
  /** @type {[Values, number][]} */
  const cases = [
    [{}, 18],
    [{ drain_delay: "0s" }, 8],
    [{ drain_delay: "1500ms", drain_timeout: "1ms" }, 3],
    [{ drain_delay: "2m", drain_timeout: "90s" }, 210],
    [{ drain_timeout: "1h" }, 3_610],
    // What the program does if the values are taken away.
    [{ drain_delay: null, drain_timeout: null }, seconds("drain_delay") + seconds("drain_timeout")],
  ];
  for (const [server, needed] of cases) {
    const { manifests } = await render({ settings: { server } });
    const given = podOf(manifests).terminationGracePeriodSeconds;
    assert.equal(given, needed + 5, JSON.stringify(server));
  }
});

test("other settings make other pods, and other labels do not", async () => {
  const sums = [];
  for (const values of [{}, { service: { port: 81 } }, { settings: { pool: { size: 19 } } }]) {
    const { metadata } = one((await render(values)).manifests, "Deployment").spec.template;
    sums.push(metadata.annotations["checksum/settings"]);
  }
  assert.match(sums[0], /^[0-9a-f]{64}$/);
  assert.equal(sums[0], sums[1]);
  assert.notEqual(sums[0], sums[2]);
});

test("secrets come from Secrets", async () => {
  for (const values of Object.values(USES)) {
    const { manifests } = await render(values);
    assert.ok(!manifests.some(({ kind }) => kind === "Secret"));
    for (const { name, value, valueFrom } of containerOf(manifests).env) {
      if (!(name in SECRETS)) continue;
      assert.equal(value, undefined, name);
      assert.ok(valueFrom.secretKeyRef.name && valueFrom.secretKeyRef.key, name);
    }
  }
  const withAll = { ...USES.everything, watch: { existingSecret: "pooler" }, settings: {} };
  const { env } = containerOf((await render(withAll)).manifests);
  for (const name of Object.keys(SECRETS)) assert.equal(Boolean(named(env, name)), name !== "DATABASE_URL", name);
  assert.ok(named(containerOf((await render(USES.everything)).manifests).env, "DATABASE_URL"));
});

test("a pod may do nothing but its work", async () => {
  for (const values of Object.values(USES)) {
    const { manifests } = await render(values);
    const pod = podOf(manifests);
    const { securityContext: context, volumeMounts, resources } = containerOf(manifests);
    assert.deepEqual(
      [pod.securityContext.runAsNonRoot, pod.securityContext.runAsUser, pod.securityContext.seccompProfile.type],
      [true, 65532, "RuntimeDefault"],
    );
    assert.deepEqual(
      [context.readOnlyRootFilesystem, context.allowPrivilegeEscalation, context.capabilities.drop],
      [true, false, ["ALL"]],
    );
    assert.equal(pod.automountServiceAccountToken, false);
    assert.equal(one(manifests, "ServiceAccount").automountServiceAccountToken, false);
    assert.equal(one(manifests, "ServiceAccount").metadata.name, pod.serviceAccountName);
    assert.ok(named(pod.volumes, "data").emptyDir && named(volumeMounts, "data").mountPath === "/var/lib/poolgate");
    assert.ok(resources.requests.cpu && resources.requests.memory);
  }
});

test("everything that selects pods selects these, and ports have their names", async () => {
  for (const values of Object.values(USES)) {
    const { manifests } = await render(values);
    const { labels } = one(manifests, "Deployment").spec.template.metadata;
    const has = (/** @type {any} */ selected) =>
      Object.entries(selected).every(([name, value]) => labels[name] === value);
    const ports = containerOf(manifests).ports.map((/** @type {any} */ port) => port.name);
    for (const { kind, spec } of manifests) {
      if (kind === "Service") {
        assert.ok(has(spec.selector), kind);
        for (const { targetPort } of spec.ports) assert.ok(ports.includes(targetPort), targetPort);
      }
      if (kind === "PodDisruptionBudget" || kind === "Deployment") assert.ok(has(spec.selector.matchLabels), kind);
      if (kind === "NetworkPolicy") assert.ok(has(spec.podSelector.matchLabels), kind);
    }
  }
});

test("a gateway keeps the operators' port apart, and its probes ask there", async () => {
  const values = {
    ...GATEWAY,
    ingress: { enabled: true, hosts: ["app.example"] },
    serviceMonitor: { enabled: true },
    networkPolicy: { enabled: true, operatorsFrom: [{ namespaceSelector: {} }] },
  };
  const { manifests, notes } = await render(values);
  const { startupProbe, livenessProbe, readinessProbe, env } = containerOf(manifests);
  for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) assert.equal(httpGet.port, "operators");
  assert.equal(readinessProbe.httpGet.path, "/readyz");
  assert.equal(named(env, "POOLGATE_SERVER__ADMIN_BIND").value, "0.0.0.0:8009");
  const services = manifests.filter(({ kind }) => kind === "Service");
  const forOperators = services.find(({ metadata }) => metadata.name === "shop-poolgate-operators");
  assert.equal(forOperators.spec.type, "ClusterIP");
  const { selector, endpoints } = one(manifests, "ServiceMonitor").spec;
  const scraped = services.filter(({ metadata }) =>
    Object.entries(selector.matchLabels).every(([name, value]) => metadata.labels[name] === value),
  );
  assert.deepEqual(scraped, [forOperators]);
  assert.equal(endpoints[0].port, forOperators.spec.ports[0].name);
  assert.deepEqual(pathsOf(manifests), ["/"]);
  const open = one(manifests, "NetworkPolicy").spec.ingress.filter((/** @type {any} */ rule) => !rule.from);
  assert.deepEqual(open, [{ ports: [{ port: "http" }] }]);
  assert.match(notes, /port-forward service\/shop-poolgate-operators 8009:8009/);
  assert.match(notes, /settings\.server\.trusted_proxies/);
});

test("without a gateway an Ingress passes only what clients need", async () => {
  const ingress = { enabled: true, hosts: ["app.example"] };
  const needed = ["/api/v1/health/database/throttling-config", "/api/v1/health/database/events"];
  assert.deepEqual(pathsOf((await render({ ingress })).manifests), needed);
  assert.deepEqual(pathsOf((await render({ ingress: { ...ingress, paths: ["/"] } })).manifests), ["/"]);
  const routes = readFileSync(join(root, "crates/poolgate-types/src/routes.rs"), "utf8");
  for (const path of needed) assert.ok(routes.includes(`"${path}"`), path);
});

test("a budget for disruptions comes with a second replica", async () => {
  const budgets = (/** @type {Rendered} */ { manifests }) =>
    manifests.filter(({ kind }) => kind === "PodDisruptionBudget");
  assert.deepEqual(budgets(await render({})), []);
  assert.equal(budgets(await render(CLUSTER))[0].spec.maxUnavailable, 1);
});

test("the rules for Prometheus are those of ops/prometheus", async () => {
  const { spec, metadata } = one((await render(USES.everything)).manifests, "PrometheusRule");
  const groupsOf = (/** @type {string} */ name) =>
    parse(readFileSync(join(root, "ops/prometheus", name), "utf8")).groups;
  const groups = ["recording.yaml", "alerts.yaml"].flatMap(groupsOf);
  assert.deepEqual(spec, { groups });
  assert.equal(metadata.labels.release, "prometheus");
});

test("a pod answers those who know its names, and probes", async (t) => {
  const cwd = mkdtempSync(join(tmpdir(), "poolgate-helm-"));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  const ingress = { enabled: true, hosts: ["app.example"] };
  const settings = { demo: { enabled: true }, server: { allowed_hosts: ["other.example"] } };
  const { manifests } = await render({ database: { existingSecret: "" }, ingress, settings });
  const env = { ...environment(containerOf(manifests), "10.1.2.3"), POOLGATE_CONFIG_FILE: settingsFile(t, manifests) };
  const { url, child, ended } = await startServer(binary, ["serve", "--bind", "127.0.0.1:0"], { cwd, env });
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const names = ["", ".prod", ".prod.svc", ".prod.svc.cluster.local"].map((domain) => `shop-poolgate${domain}`);
  for (const host of [...names, "10.1.2.3:8000", "app.example", "other.example"]) {
    assert.equal(await statusAs(`${url}/metrics`, host), 200, host);
  }
  assert.equal(await statusAs(`${url}/metrics`, "10.1.2.4:8000"), 403);
  for (const path of ["/livez", "/readyz"]) assert.equal(await statusAs(url + path, "10.1.2.4:8000"), 200, path);
});

test("the examples in the guide work", async (t) => {
  const guide = readFileSync(join(root, "docs/operating.md"), "utf8").split("\n## ");
  const section = guide.find((text) => text.startsWith("Kubernetes with Helm")) ?? "";
  const [values, sidecar] = [...section.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => parse(text));
  const { manifests } = await render(values);
  const [app, poolgate] = sidecar.containers;
  const [command, ...flags] = poolgate.args;
  const config = settingsFile(t, manifests);
  const asPod = environment(containerOf(manifests), "10.1.2.3");
  const asSidecar = environment(poolgate, "10.1.2.3");
  const check = (/** @type {string[]} */ args, /** @type {Record<string, string>} */ env) =>
    run(binary, ["check-config", ...args], { env: { ...plainEnvironment(), ...env } });
  assert.equal(await check([], { ...asPod, POOLGATE_CONFIG_FILE: config }), "The settings are fine.\n");
  assert.equal(await check(flags, asSidecar), "The settings are fine.\n");
  assert.equal(command, "serve");
  const patience = Number(app.lifecycle.preStop.exec.command[1]);
  const delay = Number.parseInt(asSidecar.POOLGATE_SERVER__DRAIN_DELAY, 10);
  assert.ok(patience > delay + seconds("drain_timeout"), "the app outlives the drain");
});

test("names stay within what Kubernetes allows", async () => {
  const { manifests } = await render(GATEWAY, "r".repeat(53));
  for (const { metadata } of manifests) assert.ok(metadata.name.length <= 63, metadata.name);
});

/**
 * The variables of a container, as its pod gets them.
 * @param {any} container
 * @param {string} address
 * @returns {Record<string, string>}
 */
function environment(container, address) {
  const given = container.env.map((/** @type {any} */ { name, value, valueFrom }) => {
    if (valueFrom?.fieldRef) return [name, address];
    return [name, valueFrom ? SECRETS[name] : value.replaceAll("$(POD_IP)", address)];
  });
  return Object.fromEntries(given);
}

/**
 * The settings file of the ConfigMap, on disk.
 * @param {import("node:test").TestContext} t
 * @param {any[]} manifests
 */
function settingsFile(t, manifests) {
  const folder = mkdtempSync(join(tmpdir(), "poolgate-helm-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "poolgate.toml");
  writeFileSync(file, one(manifests, "ConfigMap").data["poolgate.toml"]);
  return file;
}
