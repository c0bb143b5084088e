/**
 * Preloaded into a program that would listen on every interface: a port without an address is one of 127.0.0.1.
 */

import { Server } from 'node:net';

const listen: unknown = Reflect.get(Server.prototype, 'listen');

function listenOnLoopback(this: Server, ...args: unknown[]): unknown {
  const [first, second] = args;
  if (typeof first === 'number' && typeof second !== 'string') args.splice(1, 0, '127.0.0.1');
  if (typeof first === 'object' && first !== null && 'port' in first) args[0] = { ...first, host: '127.0.0.1' };
  return typeof listen === 'function' ? Reflect.apply(listen, this, args) : this;
}

Reflect.set(Server.prototype, 'listen', listenOnLoopback);
