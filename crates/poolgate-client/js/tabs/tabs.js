// @ts-check
// All tabs and workers of a browser that talk to the same server act as one client: one member leads (leader.js), the others
// follow (follower.js). This file decides which role a tab has.
//
// The leader holds one Web Lock, and each member another one while it lives. A tab that closes or crashes releases its locks,
// so its slots are free. A page that is frozen or put into the back/forward cache leaves in order. So does a hidden page that
// has nothing to do, because browsers do not freeze a page that holds a lock.

import { hold } from "../host/locks.js";
import { follow } from "./follower.js";
import { lead } from "./leader.js";
import { partOf } from "./part.js";
import { namesOf } from "./protocol.js";
import { HIDDEN, rank } from "./rank.js";

/** A hidden page leaves after it has had nothing to do for this time. */
const DOZE_MS = 60_000;

/** Whether this page or worker can share with others: it must be a secure context of a browser. */
export function canShare() {
  return Boolean(
    globalThis.isSecureContext && globalThis.navigator?.locks && typeof globalThis.BroadcastChannel === "function",
  );
}

/** @typedef {ReturnType<typeof tabsOf>} Tabs */

/**
 * @param {string} server tabs share a budget if they talk to the same server
 * @param {import("./part.js").Client} client
 * @param {boolean} mayDoze whether a hidden page that has nothing to do may leave
 */
export function tabsOf(server, client, mayDoze) {
  const names = namesOf(server);
  const part = partOf(client);
  let id = "";
  /** @type {AbortController | undefined} of a member */
  let membership;
  /** @type {AbortController | undefined} of a member that waits to lead, or leads */
  let candidacy;
  /** @type {BroadcastChannel | undefined} */
  let channel;
  /** @type {import("./protocol.js").Role | undefined} */
  let role;
  /** The page has left, and comes back when it has something to do. */
  let dozes = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let drowsy;

  const post = (/** @type {object} */ message) => channel?.postMessage({ from: id, ...message });

  /** Waits to lead, or takes the lead from another member. */
  const stand = (steal = false) => {
    const signal = membership?.signal;
    if (!signal || signal.aborted) return;
    candidacy?.abort();
    const mine = (candidacy = new AbortController());
    const stands = () => candidacy === mine && !signal.aborted;
    // Another member has taken the lead.
    const lost = () => stands() && take();
    hold(names.leader, signal, steal ? { steal } : { signal: mine.signal }, lost).then((held) => {
      if (!held || !stands()) return;
      role?.end();
      role = lead(client, part, post, names.members, id);
    });
  };

  /** Joins as a follower that waits to lead. */
  const take = () => {
    const follower = become();
    stand();
    follower.greet();
  };

  /** Becomes a follower that uses only the slots of its requests in flight. */
  const become = () => {
    role?.end();
    const follower = follow(client, part, post, () => stand(true));
    role = follower;
    return follower;
  };

  const join = async () => {
    if (membership) return;
    dozes = false;
    const { signal } = (membership = new AbortController());
    id = Math.random().toString(36).slice(2);
    const lives = await hold(names.members + id, signal);
    if (signal.aborted) return;
    if (lives) {
      channel = new BroadcastChannel(names.channel);
      channel.onmessage = ({ data }) => {
        if (data.news !== undefined) client.hear(data.news);
        if (data.to === undefined || data.to === id) role?.hear(data);
      };
      take();
      watch();
    } else {
      // A sandboxed frame, or a page without site data, gets no locks: it is a client of its own.
      membership = undefined;
      role?.end();
      role = undefined;
      client.lead(true);
      part.use(0, 0, 0);
    }
  };

  const leave = () => {
    clearTimeout(drowsy);
    dozes = false;
    membership?.abort();
    // A pending lock request also keeps a page out of the back/forward cache.
    candidacy?.abort();
    channel?.close();
    membership = candidacy = channel = undefined;
    become();
  };

  /** Makes a hidden page leave after it has had nothing to do, and brings it back when it is shown. */
  const watch = () => {
    clearTimeout(drowsy);
    if (rank() > HIDDEN) {
      wake();
    } else if (mayDoze && channel) {
      const { total } = part.measure();
      drowsy = setTimeout(() => {
        const { inFlight, queued, total: later } = part.measure();
        // Calls that wait for their route, or for another attempt, will want slots.
        if (inFlight + queued + client.queued > 0 || later > total) return watch();
        leave();
        dozes = true;
      }, DOZE_MS);
    }
  };

  const wake = () => {
    if (dozes) join();
  };

  return {
    /** Becomes a member: follows, and waits to lead. */
    join,
    /** Gives slots and locks back. */
    leave,
    /** The app has something to send. */
    wake,
    /** The page was shown or hidden. */
    look() {
      role?.look();
      watch();
    },
    /**
     * Hands on the server's news, or the budget of a worker.
     * @param {unknown} news
     */
    relay(news) {
      post({ news });
      role?.relayed?.(news);
    },
    /**
     * Takes in what this client has to do.
     * @param {number} inFlight
     * @param {number} queued
     * @param {number} limit slots for all tabs together; 0: no limit
     * @param {number} made requests since the last report
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
