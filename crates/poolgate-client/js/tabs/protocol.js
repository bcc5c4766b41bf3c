// @ts-check
// What the tabs of one browser agree on: names of locks and of the channel, and the messages.
//
// After a deploy, tabs with old and new scripts are open at the same time. The names have the version of the messages, so
// tabs of different versions do not hear each other: each version is a client of its own.

/** To be raised by every change of the messages below, or of what they mean. */
const VERSION = 1;

/**
 * @typedef {object} Names
 * @property {string} channel of the `BroadcastChannel`
 * @property {string} leader of the Web Lock that the leader holds
 * @property {string} members prefix of the Web Locks that members hold, each with its own id
 */

/**
 * @param {string} server tabs share a budget if they talk to the same server
 * @returns {Names}
 */
export function namesOf(server) {
  const channel = `poolgate ${VERSION} ${server}`;
  return { channel, leader: `${channel} leader`, members: `${channel} member ` };
}

/**
 * A message to all members, or to the one with the id `to`. It has one of the last four members.
 * @typedef {object} Message
 * @property {string} from id of the sender
 * @property {string} [to]
 * @property {unknown} [news] a document, version or header of the server; `null`: it has no config; a list: the budget
 * @property {{ term: string, rank: number }} [lead] the sender leads; `term` changes with each leader
 * @property {Report} [report] a follower to the leader
 * @property {Share} [share] the leader to a follower
 *
 * @typedef {object} Report
 * @property {string} [term] of the leader that the follower knows
 * @property {boolean} [doubts] it asks whether the leader is alive
 * @property {boolean} [asks] it waits for a `Share`
 * @property {number} [want] slots that it could use
 * @property {boolean} [front] the user looks at it
 * @property {number} [held] slots that it uses at most
 * @property {number} [seq] of the last `Share` that it has taken in
 * @property {number} [tokens] that it gives back
 *
 * @typedef {object} Share
 * @property {string} term
 * @property {number} slots that the follower may use
 * @property {number} of the limit for all tabs
 * @property {number} held slots that the leader counts for it, with those that its requests in flight still hold
 * @property {number} seq
 * @property {number} tokens that come with the slots
 *
 * @typedef {object} Role a leader or a follower
 * @property {(message: any) => void} hear another member has sent a message
 * @property {(rises: boolean) => void} press the demand has changed; `rises`: this tab wants more slots
 * @property {() => void} look the page was shown or hidden
 * @property {(news: unknown) => void} [relayed] this tab has sent news to the others
 * @property {() => void} end
 */
