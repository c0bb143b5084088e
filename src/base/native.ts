/**
 * The few system calls that Node does not offer. Owns the koffi package, which is loaded at the
 * first call.
 *
 * Every function returns null or false where koffi, the library or the call is missing, and never
 * throws. aipassd runs without them. Code that depends on an answer refuses where there is none.
 */

import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type * as Koffi from 'koffi';

/** Peer of a Unix socket as the kernel knows it. */
export interface PeerCredentials {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number | null;
}

/** `struct ucred` of `SO_PEERCRED` (unix(7)): pid, uid, gid. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;

/** Option for a peer's supplementary groups (Linux 4.13 and newer). */
const SO_PEERGROUPS = 59;
const MAX_GROUPS = 65_536;

/** `sys/un.h` of macOS: options of `SOL_LOCAL`. */
const SOL_LOCAL = 0;
const LOCAL_PEERCRED = 1;
const LOCAL_PEERPID = 2;
/** `struct xucred`: version, uid, a count padded to 4 bytes, and 16 groups. */
const XUCRED_BYTES = 76;

/** `sys/socket.h` and `linux/netlink.h`: a socket that asks the kernel about other sockets. */
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 0x8_0003;
const NETLINK_SOCK_DIAG = 4;
const MSG_DONTWAIT = 0x40;

/** Longest answer about one socket, in bytes. */
const MAX_DIAGNOSIS_BYTES = 4096;

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const RLIMIT_CORE = 4;

/** Returns the file descriptor of an open socket, which Node keeps to itself; else -1. */
export function socketDescriptor(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' ? fd : -1;
}

/** Returns whether the kernel can be asked who is at the other end of a socket. */
export function peersAreKnown(): boolean {
  const known = process.platform === 'darwin' ? call(peerIdCall, () => true) : call(socketOptionCall, () => true);
  return known ?? false;
}

/** Returns who is at the other end of a connected Unix socket, or null where that is unknown. */
export function peerCredentials(fd: number): PeerCredentials | null {
  if (process.platform === 'darwin') return peerCredentialsOfMacOs(fd);
  const ucred = socketOption(fd, SOL_SOCKET, SO_PEERCRED, UCRED_BYTES);
  if (ucred?.length !== UCRED_BYTES) return null;
  const pid = ucred.readInt32LE(0);
  return { uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8), pid: pid > 0 ? pid : null };
}

/** Returns the supplementary groups of a peer at the time when it connected, or null. */
export function peerGroups(fd: number): readonly number[] | null {
  if (process.platform === 'darwin') {
    const xucred = socketOption(fd, SOL_LOCAL, LOCAL_PEERCRED, XUCRED_BYTES);
    if (xucred?.length !== XUCRED_BYTES) return null;
    return Array.from({ length: Math.min(16, xucred.readUInt16LE(8)) }, (_, at) => xucred.readUInt32LE(12 + at * 4));
  }
  const groups = socketOption(fd, SOL_SOCKET, SO_PEERGROUPS, MAX_GROUPS * 4);
  return groups && Array.from({ length: groups.length / 4 }, (_, at) => groups.readUInt32LE(at * 4));
}

/**
 * Sends a message of sock_diag(7) about one socket, and returns what the kernel answers at once, or
 * null. The kernel looks up that one socket, in 10 µs; reading the table of all sockets takes
 * milliseconds.
 */
export function askAboutSocket(message: Buffer): Buffer | null {
  if (process.platform !== 'linux') return null;
  return call(diagnosisCalls, ({ open, connect, send, receive }) => {
    if (diagnosisSocket < 0) {
      const opened = open(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
      if (opened < 0) return null;
      // Once connected to the kernel, it takes messages of nobody else.
      if (connect(opened, KERNEL, KERNEL.length) !== 0) {
        closeSync(opened);
        return null;
      }
      diagnosisSocket = opened;
    }
    const answer = Buffer.alloc(MAX_DIAGNOSIS_BYTES);
    // One that nobody took would be taken for the next one.
    while (receive(diagnosisSocket, answer, answer.length, MSG_DONTWAIT) > 0);
    if (send(diagnosisSocket, message, message.length, MSG_DONTWAIT) !== message.length) return null;
    const length = receive(diagnosisSocket, answer, answer.length, MSG_DONTWAIT);
    return length > 0 ? answer.subarray(0, length) : null;
  });
}

/** Sends a notification of sd_notify(3); false where no service manager or library takes it. */
export function notifySystemd(text: string): boolean {
  if (!process.env['NOTIFY_SOCKET']) return false;
  return call(systemdCalls, (systemd) => systemd.notify(0, text) > 0) ?? false;
}

/**
 * Makes this process unreadable to debuggers of its own user and keeps it from leaving a core file.
 * Returns whether that holds now; a limit that the service manager set already is as good as ours.
 */
export function forbidDumps(): boolean {
  if (process.platform !== 'linux') return call(coreLimitCall, limitCore) ?? false;
  // A service manager's system-call filter may refuse setrlimit: it then brings LimitCORE=0 of its
  // own.
  call(coreLimitCall, limitCore);
  return (
    call(
      dumpableCall,
      (prctl) => prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) === 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) === 0,
    ) ?? false
  );
}

/** Gives memory that the C library keeps for later back to the system (glibc). */
export function trimMemory(): boolean {
  return call(trimCall, (trim) => trim(0) === 1) ?? false;
}

/** The same in a thread of its own, without waiting for it: it takes 1 to 3 ms under load. */
export function trimMemoryInBackground(): void {
  call(trimCall, (trim) => trim.async(0, () => {}));
}

function peerCredentialsOfMacOs(fd: number): PeerCredentials | null {
  const uid = new Uint32Array(1);
  const gid = new Uint32Array(1);
  const found = call(peerIdCall, (getpeereid) => getpeereid(fd, uid, gid) === 0);
  if (found !== true) return null;
  const pid = socketOption(fd, SOL_LOCAL, LOCAL_PEERPID, 4)?.readInt32LE(0) ?? 0;
  return { uid: uid[0] ?? 0, gid: gid[0] ?? 0, pid: pid > 0 ? pid : null };
}

function socketOption(fd: number, level: number, option: number, maxBytes: number): Buffer | null {
  if (!Number.isInteger(fd) || fd < 0) return null;
  const value = Buffer.alloc(maxBytes);
  const length = [maxBytes];
  const done = call(socketOptionCall, (getsockopt) => getsockopt(fd, level, option, value, length) === 0);
  return done === true ? value.subarray(0, length[0]) : null;
}

function limitCore(setrlimit: (resource: number, limit: { cur: number; max: number }) => number): boolean {
  return setrlimit(RLIMIT_CORE, { cur: 0, max: 0 }) === 0;
}

/** Runs a native call, or returns null where it cannot be made at all. */
function call<Native, Result>(open: () => Native, use: (native: Native) => Result): Result | null {
  try {
    return use(open());
  } catch {
    return null;
  }
}

/** Makes a value once. A failure is remembered too: a missing library stays missing. */
function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | { error: unknown } | undefined;
  return () => {
    if (!made) {
      try {
        made = { value: make() };
      } catch (error) {
        made = { error };
      }
    }
    if ('error' in made) throw made.error;
    return made.value;
  };
}

const koffi = once((): typeof Koffi => createRequire(import.meta.url)('koffi'));
/** This process itself, whose symbols hold the C library's functions, whatever it is called. */
const processSymbols = once(() => koffi().load(null));

const socketOptionCall = once(
  (): ((fd: number, level: number, option: number, value: Buffer, length: number[]) => number) =>
    processSymbols().func('int getsockopt(int, int, int, _Out_ uint8_t *, _Inout_ uint32_t *)'),
);
const peerIdCall = once((): ((fd: number, uid: Uint32Array, gid: Uint32Array) => number) =>
  processSymbols().func('int getpeereid(int, _Out_ uint32_t *, _Out_ uint32_t *)'),
);

/** One socket for all questions, or -1: the kernel has answered when a question is sent. */
let diagnosisSocket = -1;

/** `struct sockaddr_nl` of the kernel: family and padding, port 0, no groups. */
const KERNEL = Buffer.from([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

const diagnosisCalls = once(() => {
  const open: (domain: number, type: number, protocol: number) => number =
    processSymbols().func('int socket(int, int, int)');
  const connect: (fd: number, address: Buffer, length: number) => number = processSymbols().func(
    'int connect(int, const uint8_t *, uint32_t)',
  );
  const send: (fd: number, bytes: Buffer, length: number, flags: number) => number = processSymbols().func(
    'intptr_t send(int, const uint8_t *, size_t, int)',
  );
  const receive: typeof send = processSymbols().func('intptr_t recv(int, _Out_ uint8_t *, size_t, int)');
  return { open, connect, send, receive };
});
const dumpableCall = once((): ((option: number, a: number, b: number, c: number, d: number) => number) =>
  processSymbols().func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)'),
);
const coreLimitCall = once((): ((resource: number, limit: { cur: number; max: number }) => number) => {
  koffi().struct('aipassd_rlimit', { cur: 'uint64_t', max: 'uint64_t' });
  return processSymbols().func('int setrlimit(int, const aipassd_rlimit *)');
});
const systemdCalls = once((): { notify: (unset: number, text: string) => number } => ({
  notify: koffi().load('libsystemd.so.0').func('int sd_notify(int, const char *)'),
}));
const trimCall = once(() => processSymbols().func('int malloc_trim(size_t)'));
