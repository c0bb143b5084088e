/**
 * Constants that both ends of the socket share.
 */

/** Version of the protocol; a peer with another version gets VERSION_MISMATCH. */
export const PROTOCOL_VERSION = 1;

/** End of a frame: node-ipc's delimiter, a form feed, which JSON text never contains unescaped. */
export const FRAME_END = '\f';

/**
 * Maximum frame that the daemon sends and the client accepts, in UTF-8 bytes. What the daemon
 * accepts is configured, half of this by default.
 */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Maximum length of a caller name, in characters; a longer one is cut. */
export const MAX_CALLER_LENGTH = 128;
