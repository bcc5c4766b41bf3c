// Asks a server under another name than its address.

import { request } from "node:http";

/**
 * The status of an answer to a request with another Host.
 * @param {string} url
 * @param {string} host
 * @returns {Promise<number | undefined>}
 */
export function statusAs(url, host) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.on("error", reject);
    sent.end();
  });
}
