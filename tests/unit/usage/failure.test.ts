import { expect, it } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import { asDatabaseError, databaseFailure } from '../../../src/usage/store/failure.ts';

const failed = (code: string): Error => Object.assign(new Error('postgres://user:password@host'), { code });

it('tells why a database does not work from the codes of SQLite, PostgreSQL and the system', () => {
  const reasons: Record<string, string> = {
    SQLITE_BUSY: 'locked',
    SQLITE_BUSY_SNAPSHOT: 'locked',
    SQLITE_FULL: 'full',
    '53100': 'full',
    ENOSPC: 'full',
    SQLITE_READONLY_DBMOVED: 'read-only',
    SQLITE_CANTOPEN: 'read-only',
    '25006': 'read-only',
    SQLITE_CORRUPT_INDEX: 'corrupt',
    SQLITE_NOTADB: 'corrupt',
    ECONNREFUSED: 'away',
    '57P01': 'away',
    '28P01': 'refused',
    SQLITE_ERROR: 'broken',
  };
  for (const [code, reason] of Object.entries(reasons)) expect(databaseFailure(failed(code)).reason).toBe(reason);
  expect(databaseFailure(new AipassError('VERSION_MISMATCH', 'x')).reason).toBe('newer');
});

it('takes a wait of pg that was in vain, and a connection that it lost, for a server that is away', () => {
  for (const message of [
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
  ]) {
    expect(databaseFailure(new Error(message))).toMatchObject({ reason: 'away', code: 'ETIMEDOUT' });
  }
  expect(databaseFailure(new Error('row "Connection terminated"'))).toMatchObject({ reason: 'broken' });
});

it('puts aside only what the database refuses for what it holds', () => {
  for (const code of ['22021', '23502', 'SQLITE_CONSTRAINT_NOTNULL', 'SQLITE_TOOBIG']) {
    expect(databaseFailure(failed(code)).refusesData).toBe(true);
  }
  for (const code of ['SQLITE_FULL', 'SQLITE_IOERR', '57P01', '40001', '23505']) {
    expect(databaseFailure(failed(code)).refusesData).toBe(false);
  }
});

it("never passes a driver's message on, which can hold the address with its password", () => {
  expect(JSON.stringify(asDatabaseError(failed('ECONNREFUSED')).toWire())).not.toContain('password');
});
