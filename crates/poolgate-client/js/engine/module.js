// @ts-check
// Loads the WebAssembly module, once for all entries of the package.

// @ts-expect-error wasm-bindgen does not declare these two, because apps do not need them
import { __wbg_set_wasm as use, imports } from "../poolgate_client.js";

/** @typedef {import("../index.js").ModuleSource} Source */

/** @type {Promise<void> | undefined} */
let loading;

/**
 * Rejects when the module does not work here; the next call tries again.
 * @param {() => Source | Promise<Source>} find
 */
export function instantiate(find) {
  loading ??= load(find).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/** @param {() => Source | Promise<Source>} find */
async function load(find) {
  let source = await find();
  if (typeof source === "string" || source instanceof URL) source = await fetch(source);
  if (source instanceof Response) {
    if (!source.ok) throw new Error(`${source.url} could not be loaded: status ${source.status}`);
    // Not compiled while it streams: it is small, and some servers send it with a wrong media type.
    source = await source.arrayBuffer();
  }
  const imported = { "./poolgate_client_bg.js": imports };
  const loaded = await WebAssembly.instantiate(/** @type {BufferSource} */ (source), imported);
  // A compiled module gives the instance alone.
  const { exports } = loaded.instance ?? loaded;
  use(exports);
  /** @type {any} */ (exports).__wbindgen_start();
}
