/**
 * The numbers both ends of the socket agree on.
 */

/** Is the version of the protocol; a peer with another one is refused with VERSION_MISMATCH. */
export const PROTOCOL_VERSION = 1;

/** Ends a frame: node-ipc's delimiter, a form feed, which JSON text never contains unescaped. */
export const FRAME_END = '\f';

/** Is the longest frame that the daemon sends and the client accepts, in UTF-8 bytes; what the daemon accepts is configuration, and half of it by default. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Is the longest caller name that is kept, in characters; a longer one is cut. */
export const MAX_CALLER_LENGTH = 128;
