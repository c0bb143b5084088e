import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { AipassError } from '../../../src/base/errors.ts';
import type { LogSinkDeps } from '../../../src/base/log-sink.ts';
import { openLogger, parseDebug } from '../../../src/base/logger.ts';
import { Redactor } from '../../../src/base/redactor.ts';
import { Secret } from '../../../src/base/secret.ts';
import { makeTempHome } from '../../support/temp-home.ts';
import { until } from '../../support/until.ts';

type Line = Record<string, unknown> & { readonly fields?: Record<string, unknown> };

function readLines(path: string): Line[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line): Line => JSON.parse(line));
}

function optionsFor(file: string | null, more: Partial<LogSinkDeps> = {}): LogSinkDeps {
  return { level: 'info', file, stdout: false, redactor: new Redactor(), ...more };
}

/**
 * Collects what the log prints on the terminal: winston writes to the stream of the console, which
 * vitest replaces.
 */
function captureStdout(): string[] {
  const written: string[] = [];
  const stream: NodeJS.WritableStream = Reflect.get(console, '_stdout');
  vi.spyOn(stream, 'write').mockImplementation((text) => {
    written.push(text);
    return true;
  });
  return written;
}

describe('the log of a component', () => {
  it('carries its name, and its debug lines alone are written where AIPASSD_DEBUG names it', async () => {
    await using home = makeTempHome();
    const logger = openLogger({ ...optionsFor(home.paths.log), debug: parseDebug('pools, ipc') });
    logger.debug('of the daemon');
    logger.component('usage').debug('of usage');
    logger.component('usage').info('of usage');
    logger.component('pools').debug('of the pools', { key: 1 });
    await logger.close();
    expect(readLines(home.paths.log)).toMatchObject([
      { level: 'info', component: 'usage', message: 'of usage' },
      { level: 'debug', component: 'pools', message: 'of the pools', fields: { key: 1 } },
    ]);
  });

  it('is said not to exist where AIPASSD_DEBUG names it wrongly', async () => {
    await using home = makeTempHome();
    const logger = openLogger({ ...optionsFor(home.paths.log), debug: parseDebug('pool,ipc,*') });
    await logger.close();
    expect(readLines(home.paths.log)).toMatchObject([
      { level: 'warn', fields: { name: 'pool', known: expect.stringContaining('pools') } },
    ]);
  });

  it('writes everything where the level is debug, or all components are named', async () => {
    await using home = makeTempHome();
    for (const more of [{ level: 'debug' }, { debug: parseDebug('*') }] as const) {
      const logger = openLogger({ ...optionsFor(home.paths.log), ...more });
      logger.component('usage').debug('of usage');
      await logger.close();
    }
    expect(readLines(home.paths.log)).toHaveLength(2);
  });

  it('is not opened up by a variable that is empty or not set', () => {
    expect(parseDebug(undefined).size).toBe(0);
    expect(parseDebug(' , ').size).toBe(0);
  });
});

describe('the log file', () => {
  it('has one JSON document on each line, with time, level, message and fields', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    logger.info('ready', { pid: 7 });
    logger.warn('careful');
    await logger.close();
    const [first, second] = readLines(home.paths.log);
    expect(first).toMatchObject({ level: 'info', message: 'ready', fields: { pid: 7 } });
    expect(new Date(String(first?.['timestamp'])).getTime()).toBeGreaterThan(0);
    expect(second).toMatchObject({ level: 'warn', message: 'careful' });
  });

  it('holds every line when close() resolves', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    await logger.open();
    for (let n = 0; n < 3000; n += 1) logger.info(`line ${n}`);
    await logger.close();
    const lines = readLines(home.paths.log);
    expect(lines).toHaveLength(3000);
    expect(lines[2999]).toMatchObject({ message: 'line 2999' });
  });

  it('holds every line also where the process had no turn for longer than a disk may take', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    await logger.open();
    for (let n = 0; n < 300; n += 1) logger.info(`line ${n}`);
    const closed = logger.close();
    await new Promise(setImmediate);
    // As on a machine that has others to serve: no turn of the event loop for 1.1 s.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1100);
    await closed;
    expect(readLines(home.paths.log)).toHaveLength(300);
  });

  it('is added to, not begun again', async () => {
    await using home = makeTempHome();
    for (const message of ['first run', 'second run']) {
      const logger = openLogger(optionsFor(home.paths.log));
      logger.info(message);
      await logger.close();
    }
    expect(readLines(home.paths.log).map((line) => line['message'])).toStrictEqual(['first run', 'second run']);
  });

  it('is for its owner only, and so is its folder', async () => {
    await using home = makeTempHome();
    const umask = process.umask(0);
    try {
      const logger = openLogger(optionsFor(home.paths.log));
      logger.info('x');
      await logger.close();
    } finally {
      process.umask(umask);
    }
    expect(statSync(home.paths.log).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(home.paths.log)).mode & 0o777).toBe(0o700);
  });

  it('has the lines of its level and worse', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log, { level: 'warn' }));
    logger.debug('d');
    logger.info('i');
    logger.warn('w');
    logger.error('e');
    await logger.close();
    expect(readLines(home.paths.log).map((line) => line['message'])).toStrictEqual(['w', 'e']);
  });

  it('prints an error with its stack, and never its cause', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    logger.error('it failed', { error: new AipassError('INTERNAL', 'broken', { cause: new Error('the-cause') }) });
    logger.error('it failed', { error: new Error('plain', { cause: new Error('the-cause') }) });
    await logger.close();
    expect(readFileSync(home.paths.log, 'utf8')).not.toContain('the-cause');
    expect(readLines(home.paths.log)[0]?.fields?.['error']).toMatchObject({
      name: 'AipassError',
      message: 'broken',
      stack: expect.stringContaining('logger.test.ts'),
    });
  });

  it('holds no secret, wherever one slipped in', async () => {
    await using home = makeTempHome();
    const redactor = new Redactor();
    redactor.learn(['hunter2-hunter2', 'quo"ted\nvalue']);
    const logger = openLogger(optionsFor(home.paths.log, { redactor }));
    logger.info('the key hunter2-hunter2', { deep: { list: ['quo"ted\nvalue'] } });
    logger.error('it failed', { error: new Error('hunter2-hunter2 was refused'), key: new Secret('sk-whatever-1234') });
    logger.info('unknown yet: sk-or-v1-0123456789abcdef');
    await logger.close();
    const text = readFileSync(home.paths.log, 'utf8');
    for (const secret of ['hunter2', 'ted', 'whatever', '0123456789']) expect(text).not.toContain(secret);
    expect(readLines(home.paths.log)).toHaveLength(3);
  });

  it('takes fields that JSON cannot print', async () => {
    await using home = makeTempHome();
    const written = captureStdout();
    const logger = openLogger(optionsFor(home.paths.log, { stdout: true }));
    const loop: Record<string, unknown> = { big: 10n };
    loop['self'] = loop;
    expect(() => logger.info('odd', loop)).not.toThrow();
    logger.info('and on');
    await logger.close();
    expect(readLines(home.paths.log).map((line) => line['message'])).toStrictEqual(['odd', 'and on']);
    expect(written.join('')).toMatch(/odd.*\n.*and on/);
  });
});

describe('the log before it is open', () => {
  it('writes nothing, and keeps each line with its own time', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    logger.info('early');
    const written = Date.now();
    await until('the clock goes on', () => Date.now() > written + 5);
    expect(existsSync(home.paths.log)).toBe(false);
    await Promise.all([logger.open(), logger.open()]);
    logger.info('late');
    await logger.close();
    const lines = readLines(home.paths.log);
    expect(lines.map((line) => line['message'])).toStrictEqual(['early', 'late']);
    expect(Date.parse(String(lines[0]?.['timestamp']))).toBeLessThanOrEqual(written);
  });

  it('keeps the first lines of very many, so that memory has a bound', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    for (let n = 0; n < 5000; n += 1) logger.info(`line ${n}`);
    await logger.close();
    const lines = readLines(home.paths.log);
    expect(lines).toHaveLength(1000);
    expect(lines[0]).toMatchObject({ message: 'line 0' });
  });

  it('is opened by closing it, so that what it kept is not lost', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    logger.error('it could not start');
    await logger.close();
    expect(readLines(home.paths.log)).toHaveLength(1);
  });
});

describe('the log on a terminal', () => {
  it('has readable lines with time, level, message and fields', async () => {
    const written = captureStdout();
    const logger = openLogger(optionsFor(null, { stdout: true }));
    logger.info('ready', { pid: 7 });
    logger.error('it failed', { error: new Error('why') });
    await logger.close();
    expect(written[0]).toMatch(/^\d{4}-\d\d-\d\dT\S+Z info {2}ready \{"pid":7\}\n$/);
    expect(written[1]).toMatch(/error it failed \{"error":\{"name":"Error","message":"why"/);
  });

  it('holds no secret either', async () => {
    const written = captureStdout();
    const redactor = new Redactor();
    redactor.learn(['hunter2-hunter2']);
    const logger = openLogger(optionsFor(null, { stdout: true, redactor }));
    logger.warn('hunter2-hunter2', { again: 'hunter2-hunter2' });
    await logger.close();
    expect(written.join('')).toContain('[secret]');
    expect(written.join('')).not.toContain('hunter2');
  });
});

describe('a log that cannot be written', () => {
  it('ends nothing: the terminal still gets every line, and is told why there is no file', async () => {
    await using home = makeTempHome();
    const written = captureStdout();
    // A file where the folder should be refuses root too, unlike a folder without the right to
    // write.
    writeFileSync(home.paths.state, '');
    const logger = openLogger(optionsFor(join(home.paths.state, 'logs', 'aipassd.log'), { stdout: true }));
    logger.info('still here');
    await logger.close();
    expect(written.join('')).toContain('still here');
    expect(written.join('')).toContain('the log file is not written');
    expect(logger.warning()).toMatchObject({
      subject: join(home.paths.state, 'logs', 'aipassd.log'),
      problem: expect.stringContaining('(ENOTDIR)'),
    });
  });

  it('ends nothing where the file itself cannot be opened', async () => {
    await using home = makeTempHome();
    const written = captureStdout();
    mkdirSync(home.paths.log, { recursive: true });
    const logger = openLogger(optionsFor(home.paths.log, { stdout: true }));
    await logger.open();
    logger.info('one');
    await new Promise(setImmediate);
    logger.info('two');
    await logger.close();
    expect(written.join('')).toContain('one');
    expect(written.join('')).toContain('two');
    expect(logger.warning()).toMatchObject({
      problem: expect.stringContaining('(EISDIR)'),
      hint: expect.stringMatching(/mv .*; then restart the daemon/),
    });
  });

  // A device that is always full: Linux has it, and it refuses root too.
  it.runIf(existsSync('/dev/full'))('ends nothing where the disk is full, and says so once', async () => {
    const written = captureStdout();
    const logger = openLogger(optionsFor('/dev/full', { stdout: true }));
    logger.info('one');
    await logger.open();
    await until('it is noticed', () => logger.warning() !== null);
    logger.info('two');
    await logger.close();
    expect(logger.warning()?.problem).toContain('(ENOSPC)');
    expect(written.join('')).toMatch(/one.*\n.*not written.*\n.*two/);
  });

  it('ends nothing where even printing a line fails', async () => {
    await using home = makeTempHome();
    const redactor = new Redactor();
    const logger = openLogger(optionsFor(home.paths.log, { redactor }));
    await logger.open();
    vi.spyOn(redactor, 'redact').mockImplementation(() => {
      throw new Error('a defect');
    });
    expect(() => logger.error('it failed')).not.toThrow();
    expect(logger.warning()).toMatchObject({ subject: home.paths.log, problem: expect.stringContaining('a defect') });
    await logger.close();
  });

  it('is no warning while it is written', async () => {
    await using home = makeTempHome();
    const logger = openLogger(optionsFor(home.paths.log));
    expect(logger.warning()).toBeNull();
    await logger.open();
    logger.info('one');
    await logger.close();
    expect(logger.warning()).toBeNull();
  });

  it('may be no log at all', async () => {
    const logger = openLogger(optionsFor(null));
    expect(() => logger.error('nobody hears this')).not.toThrow();
    await logger.close();
  });
});
