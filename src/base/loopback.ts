/**
 * Host names of this machine itself, to which secrets may go without encryption. Runs on Node 20.16
 * for the client.
 */

/** Returns whether the host name of a URL is this machine's loopback. */
export function isLoopbackHost(hostname: string): boolean {
  return /^(?:localhost|\[::1\]|127(?:\.\d{1,3}){3})$/.test(hostname);
}
