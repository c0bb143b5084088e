/**
 * What the Unix-socket door is told when it is made.
 */

import type { Logger } from '../base/logger.ts';
import type { Gate } from '../callers/gate.ts';
import type { ConnectionOptions } from './connection.ts';

/** Says how the socket is served. */
export interface SocketServerOptions extends Omit<ConnectionOptions, 'wire' | 'admission'> {
  readonly path: string;
  readonly frameBytes: number;
  readonly maxConnections: number;
  readonly gate: Gate;
  /** Tells whether others than the daemon's own user may connect; the gate judges each of them. */
  readonly servesOthers: () => boolean;
  /** Is called before replies leave. */
  readonly beforeWrite: () => void;
  /** Is how long a peer may take to finish a frame that it began, in milliseconds; 10 s without it. */
  readonly unfinishedFrameMs?: number;
  /** Is how long a connection may be silent, in milliseconds; an hour without it. */
  readonly idleMs?: number;
  readonly logger: Logger;
}
