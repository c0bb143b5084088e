import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { hasTcpTable, readTcpTable, tcpPeerUid } from '../../../src/callers/tcp-peer.ts';
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

it.runIf(process.platform === 'linux').each(HOSTS)(
  'a real peer that connects to %s is named while it is connected, and not after it closed',
  async (host) => {
    expect(hasTcpTable()).toBe(true);
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const port = portOf(server);
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const client = createConnection({ port, host });
    const socket = await accepted;
    const uid = () =>
      tcpPeerUid(
        readTcpTable(),
        { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
        { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
      );
    await until('it is established', () => uid() !== null);
    expect(uid()).toBe(process.getuid?.());
    client.destroy();
    await until('it is closed', () => uid() === null);
    socket.destroy();
    server.close();
  },
);
