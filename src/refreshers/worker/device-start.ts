/**
 * What a provider answers when a device flow begins.
 */

import type { Secret } from '../../base/secret.ts';
import type { JsonObject } from '../json-fields.ts';

/** Is the start of a device flow (RFC 8628 §3.2). */
export interface DeviceStart {
  readonly deviceCode: Secret;
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete?: string;
  readonly expiresInS: number;
  readonly intervalS: number;
}

/** Gives an answer of before RFC 8628 the standard's name for the address: Google has `verification_url` (developers.google.com/identity/protocols/oauth2/limited-input-device). */
export function normalizeDeviceAnswer(document: JsonObject): JsonObject {
  const { verification_url: address, ...rest } = document;
  return address === undefined ? document : { verification_uri: address, ...rest };
}
