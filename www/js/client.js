// Loads the package as any app does; if that fails, the page uses plain fetch.

/** @import { PoolgateClient } from "../pkg/index.js" */

/**
 * @typedef {object} Loaded
 * @property {PoolgateClient | null} client
 * @property {(error: unknown) => boolean} isPoolgateError
 * @property {string | null} problem why there is no client
 */

/** @returns {Promise<Loaded>} */
export async function loadClient() {
  try {
    const { createClient, isPoolgateError } = await import("../pkg/index.js");
    const client = await createClient();
    /** @type {Loaded} */
    const loaded = { client, isPoolgateError, problem: null };
    client.addEventListener("syncchange", ({ detail }) => {
      // The module does not work here; the client lets requests pass, and so does the page.
      if (detail.error !== undefined) Object.assign(loaded, { client: null, problem: words(detail.error) });
    });
    return loaded;
  } catch (error) {
    return { client: null, isPoolgateError: () => false, problem: words(error) };
  }
}

/**
 * Defines `<poolgate-status>`; it needs no WebAssembly.
 * @returns {Promise<boolean>} whether it is defined
 */
export async function loadStatusElement() {
  try {
    await import("../pkg/status.js");
    return customElements.get("poolgate-status") !== undefined;
  } catch {
    return false;
  }
}

/** @param {unknown} error */
function words(error) {
  return error instanceof Error ? error.message : String(error);
}
