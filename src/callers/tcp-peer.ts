/**
 * The user behind a TCP connection from this machine, as the kernel's table of connections has it
 * (proc(5), Linux).
 *
 * `SO_PEERCRED` does not exist for TCP. A connection that its client has closed stays in the table
 * with uid 0 and inode 0. So only an established one (state 01) with an inode proves a user.
 */

import { readFileSync } from 'node:fs';

/** Address and port of one end of an IPv4 connection. */
export interface TcpEnd {
  readonly address: string;
  readonly port: number;
}

const TABLE = '/proc/self/net/tcp';

/** Table of IPv6. Java and .NET make IPv4 connections with sockets of IPv6, which are in it. */
const TABLE_OF_IPV6 = '/proc/self/net/tcp6';

/** Beginning of an IPv4 address in the table of IPv6: `::ffff:127.0.0.1`. */
const MAPPED_IPV4 = '0000000000000000FFFF0000';

const ESTABLISHED = '01';

/** Longest line of the table, in characters. */
const LINE_LENGTH = 256;

/** Returns the uid that owns the other end of an established connection, or null. */
export function tcpPeerUid(table: string | null, peer: TcpEnd, own: TcpEnd): number | null {
  if (table === null) return null;
  return (
    ownerOf(table, `${endOf(peer)} ${endOf(own)} `) ??
    ownerOf(table, `${MAPPED_IPV4}${endOf(peer)} ${MAPPED_IPV4}${endOf(own)} `)
  );
}

function ownerOf(table: string, ends: string): number | null {
  const at = table.indexOf(ends);
  if (at === -1) return null;
  // After the addresses: state, queues, timer, retransmits, uid, timeout, inode.
  const fields = table
    .slice(at + ends.length, at + ends.length + LINE_LENGTH)
    .split('\n', 1)[0]
    ?.trim()
    .split(/\s+/);
  const [state, , , , uid, , inode] = fields ?? [];
  if (state !== ESTABLISHED || inode === undefined || inode === '0' || uid === undefined || !/^\d+$/.test(uid))
    return null;
  return Number(uid);
}

/** Returns whether this system has such a table. */
export function hasTcpTable(): boolean {
  return readTcpTable()?.includes('local_address') === true;
}

/**
 * Reads the table, with that of IPv6 behind it, if there is one. That takes milliseconds with many
 * connections.
 */
export function readTcpTable(): string | null {
  const table = read(TABLE);
  return table === null ? null : table + (read(TABLE_OF_IPV6) ?? '');
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

/** Formats an end as the table does: a little-endian address, a big-endian port, in hexadecimal. */
function endOf({ address, port }: TcpEnd): string {
  const bytes = address.split('.').map(Number).toReversed();
  return `${Buffer.from(bytes).toString('hex').toUpperCase()}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}
