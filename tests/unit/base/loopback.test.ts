import { expect, it } from 'vitest';
import { isLoopbackHost } from '../../../src/base/loopback.ts';

it.each(['http://localhost:80', 'http://127.0.0.1', 'http://127.1.2.3:8080', 'http://[::1]:80', 'http://0x7f.1'])(
  '%s is this machine',
  (url) => expect(isLoopbackHost(new URL(url).hostname)).toBe(true),
);

it.each(['http://127.example.org', 'http://localhost.example.org', 'http://[::2]', 'http://10.0.0.1'])(
  '%s is another machine',
  (url) => expect(isLoopbackHost(new URL(url).hostname)).toBe(false),
);
