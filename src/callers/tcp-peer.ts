/**
 * The user behind a TCP connection from this machine, as the kernel has it (Linux). It is asked for
 * this one connection by sock_diag(7). Where that is refused, the table of all is read (proc(5)).
 *
 * `SO_PEERCRED` does not exist for TCP. A connection that its client has closed stays known to the
 * kernel with uid 0 and inode 0. So only an established one with an inode proves a user.
 */

import { existsSync, readFileSync } from 'node:fs';
import { askAboutSocket } from '../base/native.ts';

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

/**
 * Layout of a question and its answer (sock_diag(7)): `struct nlmsghdr`, behind it `struct
 * inet_diag_req_v2` or `struct inet_diag_msg`. Both hold the ends of the connection.
 */
const QUESTION_BYTES = 72;
const ANSWER_BYTES = 88;
const HEADER_BYTES = 16;
const ENDS_OF_QUESTION_AT = 24;
const ENDS_OF_ANSWER_AT = 20;
const STATE_AT = 17;
const UID_AT = 80;
const INODE_AT = 84;

const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const AF_INET = 2;
const IPPROTO_TCP = 6;
const TCP_ESTABLISHED = 1;

/** Number of the last question: an answer has that of its question. */
let lastQuestion = 0;

/**
 * Asks the kernel for the uid that owns the other end of an established connection. The result is
 * null where that end proves none. Undefined is no answer: the table decides then.
 */
export function askTcpPeerUid(peer: TcpEnd, own: TcpEnd): number | null | undefined {
  lastQuestion = (lastQuestion + 1) >>> 0;
  const ends = Buffer.alloc(48);
  ends.writeUInt16BE(peer.port, 0);
  ends.writeUInt16BE(own.port, 2);
  Buffer.from(peer.address.split('.').map(Number)).copy(ends, 4);
  Buffer.from(own.address.split('.').map(Number)).copy(ends, 20);
  // Any cookie: the connection is not known from an earlier answer.
  ends.fill(0xff, 40);
  const question = Buffer.alloc(QUESTION_BYTES);
  question.writeUInt32LE(QUESTION_BYTES, 0);
  question.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  question.writeUInt16LE(NLM_F_REQUEST, 6);
  question.writeUInt32LE(lastQuestion, 8);
  question.writeUInt8(AF_INET, HEADER_BYTES);
  question.writeUInt8(IPPROTO_TCP, HEADER_BYTES + 1);
  ends.copy(question, ENDS_OF_QUESTION_AT);
  const answer = askAboutSocket(question);
  return answer === null ? undefined : readAnswer(answer, ends);
}

function readAnswer(answer: Buffer, ends: Buffer): number | null | undefined {
  // Another type is an error: no such connection any more, or a kernel that does not look it up.
  const isAnswer = answer.length >= ANSWER_BYTES && answer.readUInt16LE(4) === SOCK_DIAG_BY_FAMILY;
  if (!isAnswer || answer.readUInt32LE(8) !== lastQuestion) return undefined;
  // Where the connection is gone, the kernel may answer about a listener on that port. A socket of
  // IPv6 has its IPv4 addresses at their end.
  const shift = answer.readUInt8(HEADER_BYTES) === AF_INET ? 0 : 12;
  const isSame = (at: number, length: number, by = 0): boolean =>
    answer.compare(ends, at, at + length, ENDS_OF_ANSWER_AT + at + by, ENDS_OF_ANSWER_AT + at + by + length) === 0;
  const isThisOne = isSame(0, 4) && isSame(4, 4, shift) && isSame(20, 4, shift);
  const isOpen = answer.readUInt8(STATE_AT) === TCP_ESTABLISHED && answer.readUInt32LE(INODE_AT) !== 0;
  return isThisOne && isOpen ? answer.readUInt32LE(UID_AT) : null;
}

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
  return existsSync(TABLE);
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
