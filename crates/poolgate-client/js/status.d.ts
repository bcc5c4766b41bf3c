import type { ClientState } from "./index.js";

/** `<poolgate-status>`: tells users how busy the service is. Importing this module defines it. */
export class PoolgateStatus extends HTMLElement {
  /** The client to share, instead of asking `src`. */
  source: StatusSource | null;
  /** Texts by state, merged into the English ones. The attribute `labels` takes the same as JSON. */
  get labels(): StatusLabels;
  set labels(labels: Partial<StatusLabels>);
}

/** Defines the element under a name, unless that is taken. Importing the module defines `poolgate-status`. */
export function define(name?: string): void;

/** What the element needs of a client. */
export interface StatusSource extends EventTarget {
  readonly state: Pick<ClientState, "level" | "breaker" | "queued" | "stale" | "transport"> & {
    readonly oldestWaitMs?: number;
    readonly etaMs?: { earliest: number; latest: number } | null;
  };
  /** Called by the banner's button. */
  refresh?(): Promise<unknown>;
}

export type StatusState = "normal" | "moderate" | "aggressive" | "emergency" | "unknown";

export type StatusLabels = Record<
  StatusState | "unreachable" | "wait" | "long" | "retry" | "checking" | "recovered" | "current" | "updated" | "outdated",
  string
> & {
  /** With `{count}`; an object has a form for each plural category of the page's language, such as `one` and `other`. */
  waiting: string | Partial<Record<Intl.LDMLPluralRule, string>>;
};

export interface Observation {
  state: StatusState;
  unreachable: boolean;
  queued: number;
  oldestWaitMs: number;
  eta: { earliest: number; latest: number } | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "poolgate-status": PoolgateStatus;
  }
  interface HTMLElementEventMap {
    "poolgate-levelchange": CustomEvent<{ from: StatusState; to: StatusState; unreachable: boolean }>;
  }
}
