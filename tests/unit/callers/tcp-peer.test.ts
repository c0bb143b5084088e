import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { askTcpPeerUid, hasTcpTable, readTcpTable, tcpPeerUid, type TcpEnd } from '../../../src/callers/tcp-peer.ts';
import { portOf } from '../../support/port-of.ts';
import { until } from '../../support/until.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const line = (state: string, uid: number, inode: number): string =>
  `   0: 0100007F:C350 0100007F:1F90 ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000\n`;
const mapped = (own: string): string => own.replaceAll('0100007F', '0000000000000000FFFF00000100007F');
const CLIENT = { address: '127.0.0.1', port: 50_000 };
const OWN = { address: '127.0.0.1', port: 8080 };
const lookUp = (...lines: readonly string[]) => tcpPeerUid(HEAD + lines.join(''), CLIENT, OWN);

it('names the user of an established connection', () => {
  expect(lookUp(line('01', 1001, 4711))).toBe(1001);
  expect(lookUp(line('01', 0, 4711))).toBe(0);
});

it.each([
  ['a connection in TIME_WAIT', line('06', 0, 0)],
  ['a peer that closed its end', line('05', 0, 0)],
  ['a closing peer with its inode', line('08', 1001, 4711)],
  ['an established connection without an inode', line('01', 0, 0)],
  ['a line that is cut off', line('01', 1001, 4711).slice(0, 50)],
  ['an empty table', ''],
])('%s proves nobody, least of all root', (_name, table) => {
  expect(lookUp(table)).toBeNull();
});

it('names the user of an IPv4 connection whose socket is of IPv6, as those of Java are', () => {
  expect(lookUp(mapped(line('01', 1001, 4711)))).toBe(1001);
  expect(lookUp(line('06', 0, 0), mapped(line('01', 1001, 4711)))).toBe(1001);
  expect(lookUp(mapped(line('06', 0, 0)))).toBeNull();
});

it('the other direction of the same connection is not the peer', () => {
  expect(tcpPeerUid(HEAD + line('01', 1001, 4711), OWN, CLIENT)).toBeNull();
});

it('a table that cannot be read proves nobody', () => {
  expect(tcpPeerUid(null, CLIENT, OWN)).toBeNull();
});

const HOSTS = ['127.0.0.1', ...(existsSync('/proc/self/net/tcp6') ? ['::ffff:127.0.0.1'] : [])];
const WAYS = [
  ['the table', (peer: TcpEnd, own: TcpEnd) => tcpPeerUid(readTcpTable(), peer, own)],
  ['a question about it', askTcpPeerUid],
] as const;
const CASES = HOSTS.flatMap((host) => WAYS.map(([way, find]) => ({ host, way, find })));

describe.runIf(process.platform === 'linux').each(CASES)('a real peer at $host, found by $way', ({ host, find }) => {
  it('is named while it is connected, and not after it closed', async () => {
    expect(hasTcpTable()).toBe(true);
    const { client, socket, ends, close } = await connected(host);
    await until('it is established', () => find(...ends) !== null);
    expect(find(...ends)).toBe(process.getuid?.());
    client.destroy();
    await until('it is closed', () => find(...ends) !== process.getuid?.());
    expect(find(...ends) ?? null).toBeNull();
    socket.destroy();
    close();
  });

  it('is not named any more when it has ended its side', async () => {
    const { client, socket, ends, close } = await connected(host);
    const ended = once(socket, 'end');
    socket.resume();
    client.end();
    await ended;
    expect(find(...ends) ?? null).toBeNull();
    client.destroy();
    socket.destroy();
    close();
  });

  it('is not the listener, nor our own end', async () => {
    const { client, socket, ends, close } = await connected(host);
    const [peer, own] = ends;
    expect(find(own, { ...own, port: 1 }) ?? null).toBeNull();
    expect(find({ ...peer, port: own.port }, own) ?? null).toBeNull();
    client.destroy();
    socket.destroy();
    close();
  });
});

it.runIf(process.platform === 'linux')('the kernel answers every question of many at once', async () => {
  const all = await Promise.all(Array.from({ length: 50 }, () => connected('127.0.0.1')));
  for (const { ends } of all) expect(askTcpPeerUid(...ends)).toBe(process.getuid?.());
  for (const { client, socket, close } of all) {
    client.destroy();
    socket.destroy();
    close();
  }
});

async function connected(host: string) {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = createConnection({ port: portOf(server), host });
  const [socket] = await Promise.all([accepted, once(client, 'connect')]);
  const ends: [TcpEnd, TcpEnd] = [
    { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
  ];
  return { client, socket, ends, close: () => server.close() };
}
