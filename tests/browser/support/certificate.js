// A self-signed certificate for 127.0.0.1: Chromium sends request streams only over HTTP/2, and speaks HTTP/2 only over
// TLS.

import { generateKeyPairSync, sign } from "node:crypto";

const OID = {
  ecdsaWithSha256: "06082a8648ce3d040302",
  commonName: "0603550403",
  subjectAltName: "0603551d11",
};
const DAY_MS = 86_400_000;

/** Key and certificate as PEM, valid from yesterday for a week. */
export function selfSigned() {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(hex(OID.ecdsaWithSha256));
  const name = sequence(der(0x31, sequence(hex(OID.commonName), der(0x0c, Buffer.from("127.0.0.1")))));
  const address = der(0x87, Buffer.from([127, 0, 0, 1]));
  const signed = sequence(
    der(0xa0, integer(2)),
    integer(1),
    algorithm,
    name,
    sequence(time(Date.now() - DAY_MS), time(Date.now() + 7 * DAY_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(hex(OID.subjectAltName), der(0x04, sequence(address))))),
  );
  const signature = sign("sha256", signed, privateKey);
  const certificate = sequence(signed, algorithm, der(0x03, Buffer.from([0]), signature));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
  };
}

/**
 * Encodes one ASN.1 value (DER).
 * @param {number} tag
 * @param {Buffer[]} content
 */
function der(tag, ...content) {
  const value = Buffer.concat(content);
  const { length } = value;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

/** @param {Buffer[]} content */
function sequence(...content) {
  return der(0x30, ...content);
}

/** @param {number} number below 128 */
function integer(number) {
  return der(0x02, Buffer.from([number]));
}

/** @param {number} ms */
function time(ms) {
  const digits = new Date(ms).toISOString().replace(/\D/g, "");
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`));
}

/** @param {string} bytes */
function hex(bytes) {
  return Buffer.from(bytes, "hex");
}
