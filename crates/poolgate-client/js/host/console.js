// @ts-check

/** Tells developers something. @param {string} message */
export const warn = (message) => console.warn(`[poolgate] ${message}`);
