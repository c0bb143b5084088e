/**
 * The providers that people ask for most, as data: nothing in the code knows their names. Endpoints are from each
 * provider's public documentation; the file of an account and the configuration override any of them.
 */

import type { ProviderSettings } from './provider-settings.ts';

/** Maps a provider's name to what is known of it. */
export const PRESETS: Readonly<Record<string, ProviderSettings>> = {
  // https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
  github: {
    authorizationEndpoint: 'https://github.com/login/oauth/authorize',
    tokenEndpoint: 'https://github.com/login/oauth/access_token',
    deviceEndpoint: 'https://github.com/login/device/code',
    clientAuthentication: 'client_secret_post',
  },
  // https://docs.gitlab.com/api/oauth2/
  gitlab: {
    authorizationEndpoint: 'https://gitlab.com/oauth/authorize',
    tokenEndpoint: 'https://gitlab.com/oauth/token',
    deviceEndpoint: 'https://gitlab.com/oauth/authorize_device',
    revocationEndpoint: 'https://gitlab.com/oauth/revoke',
    clientAuthentication: 'client_secret_post',
    scopes: ['read_user'],
  },
  // https://developers.linear.app/docs/oauth/authentication
  linear: {
    authorizationEndpoint: 'https://linear.app/oauth/authorize',
    tokenEndpoint: 'https://api.linear.app/oauth/token',
    revocationEndpoint: 'https://api.linear.app/oauth/revoke',
    clientAuthentication: 'client_secret_post',
    scopeSeparator: ',',
    scopes: ['read'],
  },
  // https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow; offline_access is what brings a refresh token.
  microsoft: {
    authorizationEndpoint: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize',
    tokenEndpoint: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
    deviceEndpoint: 'https://login.microsoftonline.com/common/oauth2/v2.0/devicecode',
    clientAuthentication: 'client_secret_post',
    scopes: ['offline_access', 'User.Read'],
  },
  // https://developers.notion.com/docs/authorization
  notion: {
    authorizationEndpoint: 'https://api.notion.com/v1/oauth/authorize',
    tokenEndpoint: 'https://api.notion.com/v1/oauth/token',
    clientAuthentication: 'client_secret_basic',
    authorizationParams: { owner: 'user' },
  },
  // https://docs.slack.dev/authentication/installing-with-oauth and .../using-token-rotation; a user's tokens are nested.
  slack: {
    authorizationEndpoint: 'https://slack.com/oauth/v2/authorize',
    tokenEndpoint: 'https://slack.com/api/oauth.v2.access',
    clientAuthentication: 'client_secret_post',
    scopeSeparator: ',',
    nestedAnswer: 'authed_user',
  },
  // https://developer.spotify.com/documentation/web-api/tutorials/code-flow
  spotify: {
    authorizationEndpoint: 'https://accounts.spotify.com/authorize',
    tokenEndpoint: 'https://accounts.spotify.com/api/token',
    clientAuthentication: 'client_secret_basic',
  },
};
