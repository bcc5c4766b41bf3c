// The replicas in front of the same database, as the one that is asked knows them.

import { byId, setText } from "./dom.js";
import * as format from "./format.js";
import { table } from "./table.js";

/** @import { ClusterMember, ClusterStatus } from "../types/wire.js" */
/** @import { State } from "./state.js" */
/** @import { Column } from "./table.js" */

/** A replica is heard at least every two seconds; one that is silent for this long is in trouble. */
const SILENT_SECONDS = 6;

/** @type {readonly Column<ClusterMember & { asked: boolean }>[]} */
const MEMBERS = [
  {
    name: "Replica",
    title: "Its id, new at each start",
    text: ({ replica, asked }) => (asked ? `${replica} (this one)` : replica),
  },
  { name: "State", title: "Joining: it has no share yet. Draining: it shuts down", text: ({ state }) => state },
  { name: "Connections", title: "Connections that its pool has", text: ({ connections }) => format.count(connections) },
  { name: "Share", title: "Connections that its pool may have", text: ({ share }) => (share === null ? "none yet" : format.count(share)) },
  {
    name: "Database",
    title: "Whether it reaches the database",
    text: ({ reaches_database: reaches }) => (reaches ? "reached" : "not reached"),
    isBad: ({ reaches_database: reaches }) => !reaches,
  },
  { name: "Config", title: "One replica publishes the config for all", text: ({ publishes }) => (publishes ? "publishes" : "follows") },
  {
    name: "Heard",
    title: "Time since it last wrote its row",
    text: ({ silent_seconds: silent }) => `${format.milliseconds(silent * 1000)} ago`,
    isBad: ({ silent_seconds: silent }) => silent >= SILENT_SECONDS,
  },
];

/** The panel is shown while the server is a replica of a cluster. @returns {(state: State) => void} */
export function clusterPanel() {
  const panel = byId("cluster-panel", HTMLElement);
  const summary = byId("cluster-summary", HTMLElement);
  const members = table("cluster", MEMBERS, "No replica is heard, not even this one.");
  return ({ status }) => {
    const cluster = status?.cluster ?? null;
    panel.hidden = cluster === null;
    if (cluster === null) return;
    setText(summary, sentences(cluster));
    members(cluster.members.map((member) => ({ ...member, asked: member.replica === cluster.replica })));
  };
}

/** @param {ClusterStatus} cluster */
export function sentences({ replica, config, share, is_static, store_trouble, members }) {
  const trouble = store_trouble === null ? "" : `Replica ${replica} cannot use the store: ${store_trouble.replace(/\.$/, "")}.`;
  const connections = is_static
    ? `Its share is not agreed with the others: it keeps to ${format.plural(share, "connection")}, which are safe in any case.`
    : `${trouble === "" ? `Replica ${replica}` : "It"} may have ${format.plural(share, "connection")}.`;
  const publisher = members.find(({ publishes }) => publishes)?.replica;
  const document = {
    none: "It has no config yet, because it has not heard the others.",
    shared: `All replicas serve one config${publisher === undefined ? "" : `, which ${publisher} publishes`}.`,
    own: "It serves a config of its own until it reaches the store.",
  }[config];
  return `${[trouble, connections, document].filter((text) => text !== "").join(" ")} The other panels show this replica alone.`;
}
