// The settings that the program explains, and those that the chart's schema allows.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../packaging/process.js";

const example = readFileSync(join(root, "config.example.toml"), "utf8");

/**
 * The default of a time in seconds.
 * @param {string} name
 */
export function seconds(name) {
  return Number(new RegExp(`^#${name} = "(\\d+)s"$`, "m").exec(example)?.[1]);
}

/** Each setting of config.example.toml and the type of its default, as far as it has one. */
export function keysOfExample() {
  let section = "";
  /** @type {Record<string, string>} */
  const keys = {};
  for (const line of example.split("\n")) {
    section = /^\[(.+)\]$/.exec(line)?.[1] ?? section;
    const [, name, value] = /^#([a-z_]+) =(.*)$/.exec(line) ?? [];
    if (name) keys[section ? `${section}.${name}` : name] = typeOf(value.trim());
  }
  return keys;
}

/** @param {string} value */
function typeOf(value) {
  if (value === "") return "any";
  if (/^".*"$/.test(value)) return /^"\d+m?s"$/.test(value) ? "duration" : "string";
  if (/^\[/.test(value)) return "array";
  if (/^\d+$/.test(value)) return "count";
  return /^\d/.test(value) ? "number" : "boolean";
}

/**
 * The same of the schema. A setting without a default has any type.
 * @param {any} schema
 * @param {string} [path]
 * @returns {Record<string, string>}
 */
export function keysOfSchema(schema, path = "") {
  const withDefault = keysOfExample();
  /** @type {Record<string, string>} */
  const keys = {};
  for (const [name, property] of Object.entries(schema.properties)) {
    const key = path + name;
    if (property.properties) Object.assign(keys, keysOfSchema(property, `${key}.`));
    else if (withDefault[key] === "any") keys[key] = "any";
    else keys[key] = property.type ?? property.$ref?.split("/").at(-1) ?? typeof property.enum[0];
  }
  return keys;
}
