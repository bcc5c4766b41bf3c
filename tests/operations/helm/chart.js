// The chart, as Helm renders it, and the parts of its manifests.

import assert from "node:assert/strict";
import { join } from "node:path";

import { root, run } from "../../packaging/process.js";

export const chart = join(root, "ops/helm/poolgate");
const python = process.env.TEST_HELM_PYTHON ?? "python3";
const script = join(root, "tests/operations/helm/render.py");

/** @typedef {Record<string, any>} Values */
/** @typedef {{ manifests: any[], notes: string }} Rendered */

/** @type {Map<string, string>} What Helm has answered to an order. */
const answers = new Map();

/**
 * Has Helm do something with the chart, or with its manifests.
 * @param {string[]} order
 * @returns {Promise<string>}
 */
export const helm = (...order) => run(python, [script, ...order]);

/**
 * What Helm makes of the values, or why it refuses them.
 * @param {Values} values
 * @param {string} [name]
 * @returns {Promise<any>}
 */
export async function ask(values, name = "shop") {
  const order = JSON.stringify({ values, name, namespace: "prod" });
  const answer = answers.get(order) ?? (await helm("render", chart, order));
  answers.set(order, answer);
  return JSON.parse(answer);
}

/**
 * The manifests, which Kubernetes' schemas allow, and the notes.
 * @param {Values} values
 * @param {string} [name]
 * @returns {Promise<Rendered>}
 */
export async function render(values, name) {
  const answer = await ask(values, name);
  assert.equal(answer.refused, undefined);
  return answer;
}

/**
 * @param {any[]} manifests
 * @param {string} kind
 */
export function one(manifests, kind) {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0];
}

/** @param {any[]} manifests */
export function podOf(manifests) {
  return one(manifests, "Deployment").spec.template.spec;
}

/** @param {any[]} manifests */
export function containerOf(manifests) {
  return podOf(manifests).containers[0];
}

/** @param {any[]} manifests */
export function pathsOf(manifests) {
  const [rule] = one(manifests, "Ingress").spec.rules;
  return rule.http.paths.map((/** @type {any} */ { path }) => path);
}

/**
 * @param {any[]} list
 * @param {string} name
 */
export function named(list, name) {
  return list.find((entry) => entry.name === name);
}
