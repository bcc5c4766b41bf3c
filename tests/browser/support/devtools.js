// Chromium driven through its own protocol only. Playwright keeps all pages visible and the back/forward cache off;
// here tabs are hidden, frozen and cached as for a user.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

const ARGUMENTS = [
  "--headless=new",
  "--remote-debugging-pipe",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const ANSWER_WITHIN_MS = 10_000;

/** @typedef {Awaited<ReturnType<typeof startChromium>>} Chromium */
/** @typedef {Awaited<ReturnType<Chromium["open"]>>} Tab */

export async function startChromium() {
  const profile = await mkdtemp(path.join(tmpdir(), "poolgate-chromium-"));
  const program = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const child = spawn(program, [...ARGUMENTS, `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const send = protocol(child);

  return {
    /**
     * Opens a tab in the foreground.
     * @param {string} url
     */
    async open(url) {
      const { targetId } = await send("Target.createTarget", { url });
      const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
      /** @param {string} method @param {object} [params] */
      const call = (method, params = {}) => send(method, params, sessionId);
      await call("Page.enable");
      return {
        call,
        show: () => send("Target.activateTarget", { targetId }),
        close: () => send("Target.closeTarget", { targetId }),
        /**
         * The value of an expression, or of its promise.
         * @param {string} expression
         */
        async evaluate(expression) {
          const params = { expression, awaitPromise: true, returnByValue: true };
          const { result, exceptionDetails } = await call("Runtime.evaluate", params);
          if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
          return result.value;
        },
      };
    },
    async stop() {
      child.kill();
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * Commands over two pipes; each message ends with a zero byte.
 * @param {import("node:child_process").ChildProcess} child
 */
function protocol(child) {
  const [, , , to, from] = /** @type {any[]} */ (child.stdio);
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  const pending = new Map();
  let text = "";
  let last = 0;
  from.setEncoding("utf8").on("data", (/** @type {string} */ chunk) => {
    const messages = (text + chunk).split("\0");
    text = messages.pop() ?? "";
    for (const { id, result, error } of messages.map((message) => JSON.parse(message))) {
      if (error) pending.get(id)?.reject(new Error(error.message));
      else pending.get(id)?.resolve(result);
      pending.delete(id);
    }
  });
  return (/** @type {string} */ method, /** @type {object} */ params = {}, /** @type {string} */ sessionId = "") =>
    /** @type {Promise<any>} */ (
      new Promise((resolve, reject) => {
        const id = (last += 1);
        const late = setTimeout(() => reject(new Error(`no answer to ${method}`)), ANSWER_WITHIN_MS);
        const settle = (/** @type {(value: any) => void} */ how) => (/** @type {any} */ value) => {
          clearTimeout(late);
          how(value);
        };
        pending.set(id, { resolve: settle(resolve), reject: settle(reject) });
        to.write(`${JSON.stringify({ id, method, params, ...(sessionId ? { sessionId } : {}) })}\0`);
      })
    );
}
