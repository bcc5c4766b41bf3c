// @ts-check
// All tabs and workers of a browser that talk to the same server act as one client: one of them leads (leader.js), the
// others follow (follower.js). Here is who does what.
//
// A Web Lock says who leads, and another one, of each member, that it lives: whoever closes or crashes lets go of both,
// and its slots are free. A page that is frozen or left for the back/forward cache leaves in order, and so does one that
// nobody looks at and that has nothing to do: browsers do not freeze a page that holds a lock.

import { follow } from "./follower.js";
import { lead } from "./leader.js";
import { hold } from "./locks.js";
import { partOf } from "./part.js";
import { HIDDEN, rank } from "./rank.js";

/** A page that nobody looks at leaves when it has had nothing to do for so long. */
const DOZE_MS = 60_000;

/**
 * @typedef {object} Role
 * @property {(message: any) => void} hear another member has said something
 * @property {(rises: boolean) => void} press requests wait, or have ended that others wait for; `rises`: it wants more
 * @property {() => void} look the page is looked at, or no more
 * @property {(news: unknown) => void} relayed the others were told this
 * @property {() => void} end
 */

/** Whether this realm can act as one with others: in a secure context of a browser. */
export function canShare() {
  return Boolean(
    globalThis.isSecureContext && globalThis.navigator?.locks && typeof globalThis.BroadcastChannel === "function",
  );
}

/** @typedef {ReturnType<typeof tabsOf>} Tabs */

/**
 * @param {string} server clients of the same server share
 * @param {import("./part.js").Core} core
 * @param {boolean} mayDoze nobody wants news in a page that is not looked at and has nothing to do
 */
export function tabsOf(server, core, mayDoze) {
  // What members say to each other is this version's; those of another one are clients of their own.
  const name = `poolgate 1 ${server}`;
  const lifelines = `${name} member `;
  const part = partOf(core);
  let id = "";
  /** @type {AbortController | undefined} while it is a member */
  let membership;
  /** @type {AbortController | undefined} while it waits to lead, or leads */
  let candidacy;
  /** @type {BroadcastChannel | undefined} */
  let channel;
  /** @type {Role | undefined} */
  let role;
  /** It has left, and comes back when it has something to do. */
  let dozes = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let drowsy;

  const post = (/** @type {object} */ message) => channel?.postMessage({ from: id, ...message });

  /** Waits to lead, or takes the lead from another. */
  const stand = (steal = false) => {
    const signal = membership?.signal;
    if (!signal || signal.aborted) return;
    candidacy?.abort();
    const mine = (candidacy = new AbortController());
    const stands = () => candidacy === mine && !signal.aborted;
    // Another one leads now.
    const lost = () => stands() && take();
    hold(`${name} leader`, signal, steal ? { steal } : { signal: mine.signal }, lost).then((held) => {
      if (!held || !stands()) return;
      role?.end();
      role = lead(core, part, post, lifelines, id);
    });
  };

  /** Takes a place among the others. */
  const take = () => {
    const follower = become();
    stand();
    follower.greet();
  };

  /** Uses what requests in flight hold. */
  const become = () => {
    role?.end();
    const follower = follow(core, part, post, () => stand(true));
    role = follower;
    return follower;
  };

  const join = async () => {
    if (membership) return;
    dozes = false;
    const { signal } = (membership = new AbortController());
    id = Math.random().toString(36).slice(2);
    const lives = await hold(lifelines + id, signal);
    if (signal.aborted) return;
    if (lives) {
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => {
        if (data.news !== undefined) core.hear(data.news);
        if (data.to === undefined || data.to === id) role?.hear(data);
      };
      take();
      watch();
    } else {
      // As if there were no others: a sandboxed frame, or a page without site data, gets no locks.
      membership = undefined;
      role?.end();
      role = undefined;
      core.lead(true);
      part.use(0, 0, 0);
    }
  };

  const leave = () => {
    clearTimeout(drowsy);
    dozes = false;
    membership?.abort();
    // A request for a lock, too, keeps a page out of the back/forward cache.
    candidacy?.abort();
    channel?.close();
    membership = candidacy = channel = undefined;
    become();
  };

  /** Sees to it that a page which nobody looks at leaves when it has nothing to do, and comes back. */
  const watch = () => {
    clearTimeout(drowsy);
    if (rank() > HIDDEN) {
      wake();
    } else if (mayDoze && channel) {
      const { total } = part.measure();
      drowsy = setTimeout(() => {
        const { inFlight, queued, total: later } = part.measure();
        // What waits for its route, or for another attempt, will want slots.
        if (inFlight + queued + core.queued > 0 || later > total) return watch();
        leave();
        dozes = true;
      }, DOZE_MS);
    }
  };

  const wake = () => {
    if (dozes) join();
  };

  return {
    /** Becomes a member; asks to lead, and follows until then. */
    join,
    /** Gives everything back, to the others or to whoever comes next. */
    leave,
    /** The app has something to send. */
    wake,
    /** The page is looked at, or no more. */
    look() {
      role?.look();
      watch();
    },
    /**
     * Hands on what the server said, or what a worker has saved.
     * @param {unknown} news
     */
    relay(news) {
      post({ news });
      role?.relayed(news);
    },
    /**
     * What this client has to do.
     * @param {number} inFlight
     * @param {number} queued
     * @param {number} limit the slots of all together; 0: nothing limits
     * @param {number} made requests since it last said so
     */
    demand(inFlight, queued, limit, made) {
      part.note(inFlight, queued, limit, made);
      if (part.busy || limit === 0 || !channel) return;
      const wants = Math.min(inFlight + queued, limit);
      const rises = queued > 0 && wants > part.want;
      if (rises) part.want = wants;
      role?.press(rises);
    },
  };
}
