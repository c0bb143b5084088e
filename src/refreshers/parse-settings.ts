/**
 * Reads what an account's file, or the configuration, says of its provider.
 */

import { FieldError, isJsonObject, scopesField, textField, type JsonObject } from './json-fields.ts';
import type { ClientAuthentication, ProviderSettings } from './provider-settings.ts';

/**
 * Reads the settings in an `oauth/<name>.json`, by the names of RFC 8414 and RFC 7591.
 *
 * @throws FieldError when one has the wrong type or is no address that a token may be sent to.
 */
export function parseSettings(raw: JsonObject): ProviderSettings {
  const params = raw['authorization_params'];
  if (params !== undefined && !isTextRecord(params))
    throw new FieldError('"authorization_params" must map texts to texts');
  return {
    issuer: endpointField(raw, 'issuer'),
    authorizationEndpoint: endpointField(raw, 'authorization_endpoint'),
    tokenEndpoint: endpointField(raw, 'token_endpoint'),
    deviceEndpoint: endpointField(raw, 'device_authorization_endpoint') ?? endpointField(raw, 'device_endpoint'),
    revocationEndpoint: endpointField(raw, 'revocation_endpoint'),
    clientAuthentication: authenticationField(raw),
    redirectUri: textField(raw, 'redirect_uri'),
    scopes: scopesField(raw, 'scopes'),
    authorizationParams: params,
    clientCredentials: textField(raw, 'grant_type') === 'client_credentials' ? true : undefined,
  };
}

/** Tells whether secrets may be sent to an address: https, or plain http to this machine itself. */
export function isSafeEndpoint(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  if (url.username !== '' || url.password !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
}

/** Tells whether a host name of a URL is this machine's loopback. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}

function endpointField(raw: JsonObject, name: string): string | undefined {
  const value = textField(raw, name);
  if (value !== undefined && !isSafeEndpoint(value)) throw new FieldError(`"${name}" must be an https address`);
  return value;
}

function authenticationField(raw: JsonObject): ClientAuthentication | undefined {
  const value = textField(raw, 'token_endpoint_auth_method');
  if (value === undefined) return undefined;
  if (value === 'client_secret_basic' || value === 'client_secret_post' || value === 'none') return value;
  throw new FieldError('"token_endpoint_auth_method" must be client_secret_basic, client_secret_post or none');
}

function isTextRecord(value: unknown): value is Readonly<Record<string, string>> {
  return isJsonObject(value) && Object.values(value).every((entry) => typeof entry === 'string');
}
